//! `gmcf inspect`.

use serde::Serialize;
use update_core::manifest::{MANIFEST_LEN, Manifest, Mode};

use super::CliError;
use super::args::InspectArgs;
use super::base::Loaded;
use super::compress::read;
use super::output::{note, print, print_json, shown};
use crate::codec::{self, CodecError};
use crate::release::{self, in_place};
use crate::report::breakdown::{BreakdownRecord, table};
use crate::report::format::thousands;
use crate::report::link::{self, LinkRecord};

/// The report as JSON.
#[derive(Serialize)]
struct Record {
    /// Of a signed update.
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<UpdateRecord>,
    /// The container; of an update in place, the one of its first step.
    #[serde(flatten)]
    breakdown: BreakdownRecord,
    /// With `--link`.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Vec<LinkRecord>>,
}

/// What a signed update says of itself. Field names are part of the interface.
#[derive(Serialize)]
struct UpdateRecord {
    product: u32,
    version: u32,
    /// Slot of the key that signed.
    key: u8,
    /// Steps of an update in place; none for two slots.
    steps: Option<usize>,
    image_len: u32,
    image: String,
    payload_len: u32,
}

impl UpdateRecord {
    fn new(manifest: &Manifest, steps: usize) -> Self {
        Self {
            product: manifest.product,
            version: manifest.version,
            key: manifest.key,
            steps: (manifest.mode == Mode::InPlace).then_some(steps),
            image_len: manifest.image_len,
            image: manifest.image.to_string(),
            payload_len: manifest.payload_len,
        }
    }

    fn text(&self) -> String {
        let way = match self.steps {
            None => "for two slots".into(),
            Some(1) => "in place, one step".into(),
            Some(steps) => format!("in place, {steps} steps"),
        };
        format!(
            "update        version {} for product {}, signed with key {}, {way}\nimage         {} bytes, {}\n",
            self.version,
            self.product,
            self.key,
            thousands(self.image_len.into()),
            self.image,
        )
    }
}

pub(super) fn run(args: &InspectArgs) -> Result<(), CliError> {
    let file = read(&args.container)?;
    let refused = || CliError::codec(format!("inspect {}", shown(&args.container)));
    let (manifest, payload) = match release::manifest(&file) {
        Some(manifest) => (Some(manifest.map_err(CodecError::from).map_err(refused())?), &file[MANIFEST_LEN..]),
        None => (None, &file[..]),
    };
    let containers = match &manifest {
        Some(Manifest { mode: Mode::InPlace, .. }) => in_place::containers(payload).map_err(refused())?,
        _ => vec![payload],
    };
    let old = args.old.as_deref().map(read).transpose()?;
    let base = Loaded::own(args.base.as_deref(), args.adapter.as_deref())?;
    let base = base.resident()?;
    let inspect = |(step, container): (usize, &&[u8])| {
        // The old image is that of the first step.
        let old = old.as_deref().filter(|_| step == 0);
        codec::inspect(container, old, base).map_err(refused())
    };
    let breakdowns = containers.iter().enumerate().map(inspect).collect::<Result<Vec<_>, _>>()?;
    let update = manifest.map(|manifest| UpdateRecord::new(&manifest, containers.len()));
    let link = args.link.then(|| link::costs(payload.len() as u64));
    if args.json {
        let breakdown = BreakdownRecord::from(&breakdowns[0]);
        return print_json(&Record { update, breakdown, link });
    }
    if let Some(update) = update {
        print(&update.text())?;
    }
    for breakdown in &breakdowns {
        print(&table(breakdown))?;
    }
    if let Some(link) = link {
        print(&link::table(&link))?;
    }
    if breakdowns[0].is_delta && old.is_none() {
        note("note: with the old file (--old OLD) the coded bytes are shown by kind");
    }
    Ok(())
}

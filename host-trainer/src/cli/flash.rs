//! `gmcf flash`.

use std::path::Path;

use update_core::keys::KEY_LEN;
use update_core::record::Record;

use super::CliError;
use super::compress::{read, write};
use super::device_args::FlashArgs;
use super::key::public;
use super::output::{print, shown};
use crate::codec::CodecError;
use crate::release::device::Device;
use crate::report::format::{hex, thousands};

pub(super) fn run(args: &FlashArgs) -> Result<(), CliError> {
    let device = device(&args.device)?;
    let place = |what: &str| CliError::codec(format!("{what} {}", shown(&args.flash)));
    if args.show {
        let content = read(&args.flash)?;
        let record = device.record(content).map_err(CodecError::from).map_err(place("read"))?;
        return match record {
            Some(record) => print(&table(&record)),
            None => Err(CliError::Input {
                path: args.flash.clone(),
                what: "there is no progress record".into(),
                hint: "check that the device file is the right one; lay the flash down with --image and --key".into(),
            }),
        };
    }
    let image = args.image.as_deref().map(read).transpose()?.unwrap_or_default();
    let mut keys = [[0; KEY_LEN]; 2];
    if args.key.len() > keys.len() {
        return Err(CliError::Usage {
            what: format!("{} keys, and a device has slots for 2", args.key.len()),
            hint: "give --key once or twice".into(),
        });
    }
    for (slot, path) in keys.iter_mut().zip(&args.key) {
        *slot = public(path)?;
    }
    let content = device.lay_down(&image, args.version, keys).map_err(CodecError::from).map_err(place("lay down"))?;
    write(&args.flash, &content)?;
    let mut text = format!("{} bytes:", thousands(content.len() as u64));
    let mut regions = device.layout().regions().to_vec();
    regions.sort_by_key(|(_, region)| region.offset);
    for (name, region) in regions {
        text += &format!(" {name} at {:#x}, {} bytes;", region.offset, thousands(region.len.into()));
    }
    let record = device.record(content).map_err(CodecError::from).map_err(place("read back"))?;
    print(&format!("{}\n{}", text.trim_end_matches(';'), record.as_ref().map(table).unwrap_or_default()))
}

/// Reads a device file.
pub(super) fn device(path: &Path) -> Result<Device, CliError> {
    Device::parse(&read(path)?).map_err(|what| CliError::Input {
        path: path.to_path_buf(),
        what,
        hint: "`gmcf flash --help` shows a device file".into(),
    })
}

fn table(record: &Record) -> String {
    let mut text = format!("state: {}\nconfirmed version: {}\n", record.state.name(), record.floor);
    for (slot, image) in ["slot 0", "slot 1"].into_iter().zip(&record.images) {
        if image.len > 0 {
            let (version, len) = (image.version, thousands(image.len.into()));
            text += &format!("{slot}: version {version}, {len} bytes, {}\n", image.id);
        } else {
            text += &format!("{slot}: empty\n");
        }
    }
    text += &format!("active slot: {}\n", record.active);
    for (slot, key) in record.keys.slots.iter().enumerate() {
        if *key != [0; KEY_LEN] {
            text += &format!("key {slot}: {}\n", hex(key));
        }
    }
    if record.failure > 0 {
        text += &format!("the last update was given up with error {}\n", record.failure);
    }
    text
}

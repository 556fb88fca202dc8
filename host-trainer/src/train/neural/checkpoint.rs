//! Checkpoints: a training run as a file, from which it goes on as if it had not been interrupted.
//!
//! A file is [`MAGIC`], the BLAKE2s of 16 bytes of the rest, and the rest: a [`Fingerprint`] and a [`Checkpoint`], both in
//! postcard's encoding.

use super::corpus::Corpus;
use super::curve::Curve;
use super::error::BaseError;
use super::run::{Settings, State};
use crate::files::write_atomic;
use codec_core::container::digest::{Hasher, ID_LEN, Id};
use codec_core::neural::shape::Shape;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// First bytes of a checkpoint; the last of them is its version.
pub const MAGIC: [u8; 8] = *b"GMCFrun\x01";
/// Longest checkpoint that is read, bytes: more than the largest network takes that a base model can hold.
const MAX: u64 = 1 << 30;

const DAMAGED: &str = "delete it to start anew; the run that it is of is lost";
const OTHER: &str = "delete it to start anew, or give another file: --checkpoint FILE";

/// What a run depends on, as pairs of a name and a value: a checkpoint is of this run when all are equal.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Fingerprint(Vec<(String, String)>);

/// A run between two steps.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Checkpoint {
    /// Where the run stands.
    pub state: State,
    /// Its curve so far.
    pub curve: Curve,
}

impl Fingerprint {
    /// What a run depends on: the size's name and network, the settings, and every byte that is learned from or
    /// measured.
    pub fn new(size: &str, shape: &Shape, settings: &Settings, corpus: &Corpus) -> Self {
        let Settings { seed, epochs, lanes, steps, rate, noise, decay, threads } = settings;
        let pairs = [
            ("size", size.to_owned()),
            ("seed", seed.to_string()),
            ("epochs", epochs.to_string()),
            ("threads", threads.to_string()),
            ("files to learn from", described(corpus.learned.iter())),
            ("files held back", described(corpus.held.iter())),
            ("updates", described(corpus.updates.iter().flat_map(|update| [&update.old, &update.new]))),
            ("network", format!("{shape:?}")),
            ("lanes", lanes.to_string()),
            ("steps", steps.to_string()),
            ("learning rate", rate.to_string()),
            ("noise", noise.to_string()),
            ("decay", decay.to_string()),
            ("version of gmcf", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        Self(pairs.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// What `found` has otherwise than this: the first such pair, in words.
    fn difference(&self, found: &Self) -> Option<String> {
        if found.0.len() != self.0.len() {
            return Some("its settings are not those of this version".into());
        }
        let other = self.0.iter().zip(&found.0).find(|(wanted, found)| wanted != found);
        other.map(|((name, wanted), (_, found))| format!("{name}: {found} there, {wanted} now"))
    }
}

/// Files as a user may recognise them, and with every byte of them.
fn described<'a>(files: impl Iterator<Item = &'a Vec<u8>>) -> String {
    let (mut hasher, mut bytes) = (Hasher::new(), 0);
    for file in files {
        hasher.update(&(file.len() as u64).to_le_bytes());
        hasher.update(file);
        bytes += file.len();
    }
    format!("{bytes} bytes ({})", hasher.finish().old())
}

impl Checkpoint {
    /// The content of its file.
    fn emit(&self, fingerprint: &Fingerprint) -> Result<Vec<u8>, postcard::Error> {
        let bytes = [&MAGIC[..], &[0; ID_LEN]].concat();
        let bytes = postcard::to_extend(fingerprint, bytes)?;
        let mut bytes = postcard::to_extend(self, bytes)?;
        let id = Id::of(&bytes[MAGIC.len() + ID_LEN..]);
        bytes[MAGIC.len()..][..ID_LEN].copy_from_slice(&id.0);
        Ok(bytes)
    }

    /// Writes it: after a crash the file holds the checkpoint before, or this one.
    ///
    /// # Errors
    /// [`BaseError::Io`].
    pub fn write(&self, path: &Path, fingerprint: &Fingerprint) -> Result<(), BaseError> {
        let bytes = self.emit(fingerprint).map_err(io::Error::other);
        bytes.and_then(|bytes| write_atomic(path, &bytes)).map_err(BaseError::io("write", path))
    }

    /// Reads the checkpoint of the run with this fingerprint; `None` when there is no such file yet.
    ///
    /// # Errors
    /// [`BaseError::Io`] when it cannot be read, [`BaseError::Input`] when it is no checkpoint, a damaged one, or of
    /// another run.
    pub fn read(path: &Path, fingerprint: &Fingerprint) -> Result<Option<Self>, BaseError> {
        let refuse = |what: &str, hint| BaseError::Input { path: path.to_path_buf(), what: what.to_owned(), hint };
        let io = |error| BaseError::io("read", path)(error);
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
            Ok(meta) if !meta.is_file() => return Err(refuse("is no regular file", "name a file for the checkpoint")),
            Ok(_) => {}
        }
        let mut file = File::open(path).map_err(io)?.take(MAX + 1);
        let mut head = Vec::new();
        file.by_ref().take((MAGIC.len() + ID_LEN) as u64).read_to_end(&mut head).map_err(io)?;
        let Some((id, [])) = head.strip_prefix(&MAGIC).and_then(<[u8]>::split_first_chunk::<ID_LEN>) else {
            return Err(refuse("is no checkpoint of this version of gmcf", OTHER));
        };
        let mut body = Vec::new();
        file.read_to_end(&mut body).map_err(io)?;
        if body.len() as u64 > MAX - head.len() as u64 {
            return Err(refuse("is longer than any checkpoint", OTHER));
        }
        if Id::of(&body).0 != *id {
            return Err(refuse("is a damaged checkpoint: its digest is another one", DAMAGED));
        }
        let damaged = |_| refuse("is a damaged checkpoint", DAMAGED);
        let (found, rest) = postcard::take_from_bytes::<Fingerprint>(&body).map_err(damaged)?;
        if let Some(difference) = fingerprint.difference(&found) {
            return Err(refuse(&format!("is the checkpoint of another run ({difference})"), OTHER));
        }
        match postcard::take_from_bytes(rest).map_err(damaged)? {
            (checkpoint, []) => Ok(Some(checkpoint)),
            _ => Err(refuse("is a damaged checkpoint: something stands behind its end", DAMAGED)),
        }
    }

    /// The error for one whose `field` cannot be of the run that its fingerprint names.
    pub fn misfit(path: &Path, field: &str) -> BaseError {
        let what = format!("is a checkpoint that contradicts itself in the field `{field}`");
        BaseError::Input { path: path.to_path_buf(), what, hint: DAMAGED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Scratch;
    use crate::train::neural::data::Example;
    use crate::train::neural::net::Net;
    use crate::train::neural::run::Run;
    use codec_core::neural::shape::Evoformer;

    const SHAPE: Shape = Shape {
        gram_log2: 2,
        gram_dim: 2,
        hidden: 4,
        layers: 0,
        state: 4,
        state_dim: 4,
        evoformer: Evoformer::NONE,
        ring_log2: 6,
        index_log2: 4,
    };

    fn corpus() -> Corpus {
        Corpus { learned: vec![b"abcabcabc".repeat(40); 3], held: vec![b"abcab".to_vec()], updates: Vec::new() }
    }

    fn checkpoint(settings: &Settings) -> Checkpoint {
        let net = Net::new(SHAPE);
        let examples: Vec<Example> = corpus().learned.into_iter().map(|piece| Example::new(piece, &SHAPE)).collect();
        let mut run = Run::new(&net, net.init(1), &examples, settings);
        let mut curve = Curve::default();
        for _ in 0..3 {
            run.step();
            curve.note(&run.progress(), Some(4.5));
        }
        Checkpoint { state: run.state(), curve }
    }

    fn refusal(path: &Path, fingerprint: &Fingerprint) -> String {
        match Checkpoint::read(path, fingerprint) {
            Err(BaseError::Input { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read_and_only_by_the_same_run() {
        let folder = Scratch::new("checkpoint").unwrap();
        let path = folder.join("run");
        let settings = Settings { lanes: 2, steps: 8, ..Settings::default() };
        let written = checkpoint(&settings);
        let fingerprint = Fingerprint::new("nano", &SHAPE, &settings, &corpus());
        assert!(Checkpoint::read(&path, &fingerprint).unwrap().is_none());
        written.write(&path, &fingerprint).unwrap();
        assert_eq!(Checkpoint::read(&path, &fingerprint).unwrap(), Some(written));

        let mut more = corpus();
        more.learned[1][5] ^= 1;
        let mut held = corpus();
        held.held.push(Vec::new());
        let others = [
            ("size: nano there, micro now", Fingerprint::new("micro", &SHAPE, &settings, &corpus())),
            ("seed: 1 there, 2 now", Fingerprint::new("nano", &SHAPE, &Settings { seed: 2, ..settings }, &corpus())),
            ("epochs", Fingerprint::new("nano", &SHAPE, &Settings { epochs: 9, ..settings }, &corpus())),
            ("threads", Fingerprint::new("nano", &SHAPE, &Settings { threads: 2, ..settings }, &corpus())),
            ("network", Fingerprint::new("nano", &Shape { hidden: 8, ..SHAPE }, &settings, &corpus())),
            ("files to learn from: 1080 bytes", Fingerprint::new("nano", &SHAPE, &settings, &more)),
            ("files held back", Fingerprint::new("nano", &SHAPE, &settings, &held)),
        ];
        for (wanted, other) in others {
            let what = refusal(&path, &other);
            assert!(what.contains("another run") && what.contains(wanted), "{wanted}: {what}");
        }
    }

    #[test]
    fn damaged_checkpoints_are_refused() {
        let folder = Scratch::new("checkpoint").unwrap();
        let path = folder.join("run");
        let settings = Settings { lanes: 2, steps: 8, ..Settings::default() };
        let fingerprint = Fingerprint::new("nano", &SHAPE, &settings, &corpus());
        let bytes = checkpoint(&settings).emit(&fingerprint).unwrap();
        for len in (0..40).chain((40..bytes.len()).step_by(1009)) {
            fs::write(&path, &bytes[..len]).unwrap();
            refusal(&path, &fingerprint);
        }
        for at in (0..40).chain((40..bytes.len()).step_by(1009)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            fs::write(&path, &damaged).unwrap();
            refusal(&path, &fingerprint);
        }
        fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
        assert!(refusal(&path, &fingerprint).contains("digest"));
        assert!(refusal(&std::env::temp_dir(), &fingerprint).contains("no regular file"));
    }

    /// Whatever follows a right digest, reading it ends without a panic and without more memory than there are bytes.
    #[test]
    fn forged_checkpoints_are_refused() {
        let folder = Scratch::new("checkpoint").unwrap();
        let path = folder.join("run");
        let settings = Settings { lanes: 2, steps: 8, ..Settings::default() };
        let fingerprint = Fingerprint::new("nano", &SHAPE, &settings, &corpus());
        let written = checkpoint(&settings);
        let bytes = written.emit(&fingerprint).unwrap();
        let body = &bytes[MAGIC.len() + ID_LEN..];
        let state = postcard::to_extend(&fingerprint, Vec::new()).unwrap().len();
        let mut refused = 0;
        for at in (0..state).step_by(7).chain(state..state + 8).chain((state..body.len()).step_by(1009)) {
            let mut forged = body.to_vec();
            forged[at] = 0xff;
            fs::write(&path, [&MAGIC[..], &Id::of(&forged).0, &forged].concat()).unwrap();
            refused += u32::from(Checkpoint::read(&path, &fingerprint).is_err());
        }
        assert!(refused > 20, "{refused}");
        let longer = [body, &[0]].concat();
        fs::write(&path, [&MAGIC[..], &Id::of(&longer).0, &longer].concat()).unwrap();
        assert!(refusal(&path, &fingerprint).contains("behind its end"));
    }
}

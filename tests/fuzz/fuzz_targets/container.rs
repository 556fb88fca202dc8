//! Any bytes as a container of either version: what parses is written again as it stood, and what is accepted keeps
//! its promise. Position memories are evaluated whatever their digest says.
#![no_main]

use codec_core::container::digest::{Id, sha512};
use codec_core::container::v1::{LayerRepr, LayerView, Repr, View};
use codec_core::container::v2::Header;
use codec_core::container::zstd::{Workspace, decompress};
use codec_core::neural::memory::{self, Memory};
use host_trainer::codec::{apply, inspect};
use libfuzzer_sys::fuzz_target;

/// Longest content that is rebuilt, bytes: a lie about the length would cost minutes.
const MOST: u64 = 1 << 16;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((header, len)) = Header::parse(bytes) {
        assert_eq!(header.emit().as_deref(), Ok(&bytes[..len]));
        if u64::from(header.new_len) <= MOST {
            whole(bytes);
        }
    }
    if let Ok(view) = View::new_checked(bytes) {
        let frames = layers(bytes, view);
        // The file inside says how long its content is; of a position memory, its shape.
        let is_short = |frame: &Vec<u8>| Header::parse(frame).is_ok_and(|(h, _)| u64::from(h.new_len) <= MOST);
        if frames.len() == view.n_layers() as usize && (frames.iter().all(is_short) || memory(view, &frames)) {
            whole(bytes);
        }
    }
});

/// Rebuilds it without an old image; inspecting must agree.
fn whole(bytes: &[u8]) {
    let rebuilt = apply(&[bytes], None);
    let found = inspect(bytes, None, None);
    if let Ok(content) = rebuilt {
        let found = found.expect("what is accepted can be inspected");
        assert_eq!((found.total, found.new_len), (bytes.len() as u64, content.len() as u64));
        assert_eq!(found.digest, Id::of(&content).to_string());
        if let Ok(view) = View::new_checked(bytes) {
            assert_eq!(*view.original_hash(), sha512(&content));
        }
    }
}

/// Reads a position memory as a device would, from its layers alone; whether the container may be one, a short one.
fn memory(view: View<'_>, frames: &[Vec<u8>]) -> bool {
    let Some(layer) = view.layer(memory::LAYER) else { return false };
    let shape: Vec<u32> = layer.shape().collect();
    let ([len, dim], [codes, out @ ..]) = (&shape[..], frames) else { return false };
    let out = out.first().map(Vec::as_slice);
    // A byte costs as many products as its dimensions times 256.
    let Ok(memory) = Memory::new_checked(codes, out, *len, *dim, layer.dominant_scale()) else { return false };
    if u64::from(*len) * u64::from(*dim) > MOST {
        return false;
    }
    let mut content = vec![0xa5; *len as usize];
    memory.read(0, &mut content).expect("all of it");
    assert!(content.iter().zip(0..).all(|(byte, i)| *byte == memory.byte(i)));
    true
}

/// Writes a version 1 container again, and decompresses its layers.
fn layers(bytes: &[u8], view: View<'_>) -> Vec<Vec<u8>> {
    let views: Vec<LayerView<'_>> = view.layers().collect();
    let shapes: Vec<Vec<u32>> = views.iter().map(|layer| layer.shape().collect()).collect();
    let layers: Vec<_> = views.iter().zip(&shapes).map(|(layer, shape)| layer_repr(layer, shape)).collect();
    let residues: Vec<u64> = view.crt_residues().collect();
    let repr = Repr {
        is_delta: view.is_delta(),
        original_hash: view.original_hash(),
        crt_residues: &residues,
        layers: &layers,
    };
    let mut written = vec![0; bytes.len()];
    assert_eq!(repr.emit(&mut written), Ok(bytes.len()));
    assert!(written == bytes);

    let mut workspace = Box::new(Workspace::new());
    let mut frames = Vec::new();
    for layer in views {
        let Ok(len) = layer.content_len() else { continue };
        let mut frame = vec![0xa5; len.min(MOST) as usize];
        if let Ok(written) = decompress(layer.compressed(), &mut workspace, &mut frame) {
            assert!(written <= frame.len());
            frame.truncate(written);
            frames.push(frame);
        }
    }
    frames
}

fn layer_repr<'a>(layer: &'a LayerView<'a>, shape: &'a [u32]) -> LayerRepr<'a> {
    LayerRepr {
        name: layer.name(),
        shape,
        tau: layer.tau(),
        gamma: layer.gamma(),
        dominant_scale: layer.dominant_scale(),
        compressed: layer.compressed(),
    }
}

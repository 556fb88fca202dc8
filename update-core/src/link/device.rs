//! The device's end.

use super::frame::{Frames, check, message_room};
use super::message::{Kind, PROTOCOL, Part, Refusal, Reply, Request};
use super::{Info, Target};
use crate::Error;
use crate::manifest::MANIFEST_LEN;

/// Most chunks that can be kept: a bitmap of 32 bits tells of them.
const MAX_KEPT: usize = 32;
/// Bytes of the words in which pieces of a manifest or statement are counted.
const WORD: usize = 4;
/// Bytes before the tail of a `Data` message whose number takes one byte.
const DATA_HEAD: usize = 1 + 2 + 1;

/// Bytes of the longest chunk in a frame of `limit` bytes.
#[must_use]
pub const fn max_chunk(limit: usize) -> usize {
    message_room(limit).saturating_sub(DATA_HEAD)
}

/// What one call of [`Link::feed`] did.
#[derive(Debug)]
pub struct Step<'a> {
    /// Bytes of the input that were taken, at least one; call again with the rest.
    pub consumed: usize,
    /// A frame to be sent before the next call, or nothing.
    pub reply: &'a [u8],
    /// Call [`Target::reboot`] when the reply has been sent.
    pub reboot: bool,
}

/// The device's end of the link: frames of `N` bytes (32 to 1024, delimiter included), and `W` chunks (0 to 32) that
/// are kept until those before them have come; the window is one chunk more.
///
/// Takes about `(N + 2) * W + N + 250` bytes of RAM. What it does takes no longer than the input is long, but for what
/// the [`Target`] does.
#[derive(Debug)]
pub struct Link<const N: usize, const W: usize> {
    frames: Frames<N>,
    device: Device<N, W>,
}

impl<const N: usize, const W: usize> Link<N, W> {
    /// A link without a session. `seed`: a number that the last start of the device did not have, as far as the device
    /// can tell (random, a boot counter, a clock); it keeps out what is late from before the restart.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        const { assert!(W <= MAX_KEPT, "at most 32 chunks can be kept") };
        Self { frames: Frames::new(), device: Device::new(seed) }
    }

    /// Takes bytes from the host, up to the end of the first message that is to be answered or all of them, and does
    /// what they ask for. Bytes that make no message do nothing.
    pub fn feed<T: Target>(&mut self, input: &[u8], target: &mut T) -> Step<'_> {
        let mut rest = input;
        while let Some(len) = self.frames.next(&mut rest) {
            let Ok((request, tail)) = postcard::take_from_bytes::<Request>(self.frames.message(len)) else { continue };
            if request.has_tail() == tail.is_empty() {
                continue;
            }
            let (reply, reboot) = self.device.handle(&request, tail, target);
            if let Some(reply) = reply {
                return Step { consumed: input.len() - rest.len(), reply: self.frames.reply(&reply), reboot };
            }
        }
        Step { consumed: input.len(), reply: &[], reboot: false }
    }
}

/// All but the frames.
#[derive(Debug)]
struct Device<const N: usize, const W: usize> {
    seed: u32,
    /// Sessions that have been given a number.
    numbered: u32,
    /// The last that has; the next request that names it starts it.
    promised: Named,
    /// The one that goes on.
    open: Named,
    session: Session,
    /// Manifest or statement, while its pieces come in.
    pieces: [u8; MANIFEST_LEN],
    /// Chunk `number` is kept in slot `number % W`, with its length.
    slots: [(u16, [u8; N]); W],
}

/// Number of a session and the host's nonce for which it was given. Number 0: none.
#[derive(Clone, Copy, Debug)]
struct Named {
    nonce: u32,
    number: u16,
}

/// What is remembered of a session, but for the buffers.
#[derive(Clone, Copy, Debug)]
struct Session {
    /// Bit `Kind as u16` is set when it has been done.
    done: u16,
    refusal: Option<Refusal>,
    /// What `pieces` are of: kind and length in bytes.
    collects: (Kind, u8),
    /// Bit `i` is set when word `i` of `pieces` is there.
    words: u64,
    /// Set when an update was accepted.
    transfer: Option<Transfer>,
}

/// An accepted update. Invariant: every chunk before `next` was given to the target, none from `next` on.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    /// Byte of the payload with which chunk 0 starts.
    start: u32,
    /// Bytes of a chunk.
    chunk: u16,
    next: u32,
    /// Bit `i` is set when chunk `next + 1 + i` is kept.
    kept: u32,
    /// A chunk shorter than the others was given to the target: it was the last.
    ended: bool,
}

impl Session {
    const NEW: Self = Self { done: 0, refusal: None, collects: (Kind::Hello, 0), words: 0, transfer: None };

    fn has_done(&self, kind: Kind) -> bool {
        self.done & 1 << kind as u16 != 0
    }
}

impl<const N: usize, const W: usize> Device<N, W> {
    const fn new(seed: u32) -> Self {
        let none = Named { nonce: 0, number: 0 };
        Self {
            seed,
            numbered: 0,
            promised: none,
            open: none,
            session: Session::NEW,
            pieces: [0; MANIFEST_LEN],
            slots: [(0, [0; N]); W],
        }
    }

    /// Does what `request` asks for. The answer, and whether the device is to restart after it.
    fn handle(&mut self, request: &Request, tail: &[u8], target: &mut impl Target) -> (Option<Reply>, bool) {
        let session = match *request {
            Request::Hello { nonce } => return (Some(self.welcome(nonce, target)), false),
            Request::Query { session, .. }
            | Request::Offer { session, .. }
            | Request::Data { session, .. }
            | Request::DataAsk { session, .. }
            | Request::Install { session }
            | Request::Confirm { session }
            | Request::Rotate { session, .. }
            | Request::Reboot { session } => session,
        };
        if session == 0 || session != self.open.number && session != self.promised.number {
            return (request.asks().then_some(Reply::NoSession { session, kind: request.kind() }), false);
        }
        if session != self.open.number {
            self.open = self.promised;
            self.session = Session::NEW;
        }
        if let Request::Query { token, .. } = *request {
            return (Some(Reply::Info { session, token, info: target.info() }), false);
        }
        let was_asked_to_reboot = self.session.has_done(Kind::Reboot);
        let reply = match self.session.refusal {
            Some(_) => None,
            None => match self.perform(request, tail, target) {
                Ok(reply) => reply,
                Err(error) => {
                    self.session.refusal = Some(Refusal::new(request.kind(), &error));
                    None
                }
            },
        };
        let refused = self.session.refusal.filter(|_| request.asks());
        let reply = refused.map(|refusal| Reply::Refused { session, refusal }).or(reply);
        (reply, !was_asked_to_reboot && self.session.has_done(Kind::Reboot))
    }

    /// Numbers a session for `nonce`: the same when it is asked for again.
    fn welcome(&mut self, nonce: u32, target: &mut impl Target) -> Reply {
        let named = |known: &Named| known.number != 0 && known.nonce == nonce;
        let number = if named(&self.open) {
            self.open.number
        } else {
            if !named(&self.promised) {
                self.numbered = self.numbered.wrapping_add(1);
                self.promised = Named { nonce, number: self.number(nonce, &target.info()) };
            }
            self.promised.number
        };
        Reply::Welcome { nonce, session: number, protocol: PROTOCOL, frame: N as u16, window: W as u8 + 1 }
    }

    /// A number that neither the open session nor, as far as can be, any other has had. The state, the image that runs
    /// and what has been received count in: what was asked for before an install does not happen after the restart, and
    /// chunks do not land where others belong, whatever the seed is.
    fn number(&self, nonce: u32, info: &Info) -> u16 {
        let words = [self.seed, self.numbered, nonce, info.version, info.received].map(u32::to_le_bytes);
        let sum = check(&[words.as_flattened(), &[info.state], &info.image]);
        let mut number = (sum ^ sum >> 16) as u16;
        while number == 0 || number == self.open.number {
            number = number.wrapping_add(1);
        }
        number
    }

    /// Does what `request`, one of the open session that has been refused nothing, asks for.
    fn perform(&mut self, request: &Request, tail: &[u8], target: &mut impl Target) -> Result<Option<Reply>, Error> {
        match *request {
            Request::Hello { .. } | Request::Query { .. } => Ok(None),
            // Of an earlier session that had the same number.
            Request::Offer { part, .. } | Request::Rotate { part, .. }
                if part.nonce != Part::nonce(self.open.nonce) =>
            {
                Ok(None)
            }
            Request::Offer { session, chunk, part } => {
                let mut completed = false;
                if self.session.transfer.is_none() && self.collect(Kind::Offer, MANIFEST_LEN, part, tail) {
                    let (requested, limit) = (u32::from(chunk), max_chunk(N) as u32);
                    if requested == 0 || requested > limit {
                        return Err(Error::NoRoom { region: "frame", requested, limit });
                    }
                    let start = target.offer(&self.pieces)?;
                    self.session.transfer = Some(Transfer { start, chunk, next: 0, kept: 0, ended: false });
                    completed = true;
                }
                Ok((part.ask || completed).then_some(match self.session.transfer {
                    Some(Transfer { start, .. }) => Reply::Accepted { session, start },
                    None => self.have(session, Kind::Offer),
                }))
            }
            Request::Rotate { session, len, part } => {
                let len = usize::from(len).min(MANIFEST_LEN);
                let mut completed = false;
                if !self.session.has_done(Kind::Rotate) && self.collect(Kind::Rotate, len, part, tail) {
                    target.rotate(&self.pieces[..len])?;
                    self.session.done |= 1 << Kind::Rotate as u16;
                    completed = true;
                }
                Ok((part.ask || completed).then_some(if self.session.has_done(Kind::Rotate) {
                    Reply::Done { session, kind: Kind::Rotate }
                } else {
                    self.have(session, Kind::Rotate)
                }))
            }
            Request::Data { session, number } | Request::DataAsk { session, number } => {
                let Some(transfer) = &mut self.session.transfer else {
                    // The host was told that its offer is accepted: by a session of this number before a restart.
                    return Ok(request.asks().then_some(Reply::NoSession { session, kind: request.kind() }));
                };
                transfer.take(number, tail, &mut self.slots, target)?;
                let ack = Reply::Ack { session, next: transfer.next, kept: transfer.kept };
                Ok(request.asks().then_some(ack))
            }
            Request::Install { session } => self.once(session, Kind::Install, || target.install()),
            Request::Confirm { session } => self.once(session, Kind::Confirm, || target.confirm()),
            // The caller restarts the device once the answer is on its way.
            Request::Reboot { session } => self.once(session, Kind::Reboot, || Ok(())),
        }
    }

    /// Does `work` unless it has been done in this session.
    fn once(
        &mut self,
        session: u16,
        kind: Kind,
        work: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Option<Reply>, Error> {
        if !self.session.has_done(kind) {
            work()?;
            self.session.done |= 1 << kind as u16;
        }
        Ok(Some(Reply::Done { session, kind }))
    }

    /// Puts a piece of the `len` bytes of a manifest or statement in place; whether it was the last that lacked. A
    /// piece that cannot be does nothing.
    fn collect(&mut self, kind: Kind, len: usize, part: Part, piece: &[u8]) -> bool {
        let start = WORD * usize::from(part.at);
        let end = start + piece.len();
        if end > len || end != len && !piece.len().is_multiple_of(WORD) {
            return false;
        }
        if self.session.collects != (kind, len as u8) {
            self.session.collects = (kind, len as u8);
            self.session.words = 0;
        }
        self.pieces[start..end].copy_from_slice(piece);
        let upto = |bytes: usize| (1u64 << bytes.div_ceil(WORD)) - 1;
        self.session.words |= upto(end) & !upto(start);
        self.session.words == upto(len)
    }

    fn have(&self, session: u16, kind: Kind) -> Reply {
        let words = if self.session.collects.0 == kind { self.session.words } else { 0 };
        Reply::Have { session, kind, words }
    }
}

impl Transfer {
    /// Gives chunk `number` to the target if it comes next, and those kept behind it; keeps it if it is inside the
    /// window; else does nothing.
    fn take<const N: usize, const W: usize>(
        &mut self,
        number: u32,
        bytes: &[u8],
        slots: &mut [(u16, [u8; N]); W],
        target: &mut impl Target,
    ) -> Result<(), Error> {
        let Some(ahead) = number.checked_sub(self.next) else { return Ok(()) };
        if self.ended || bytes.len() > usize::from(self.chunk) {
            return Ok(());
        }
        if ahead > 0 {
            let place = ahead as usize - 1;
            if place < W
                && self.kept & 1 << place == 0
                && let Some((len, slot)) = slots.get_mut(number as usize % W)
            {
                // A chunk is shorter than a frame.
                slot[..bytes.len()].copy_from_slice(bytes);
                *len = bytes.len() as u16;
                self.kept |= 1 << place;
            }
            return Ok(());
        }
        let mut bytes = bytes;
        loop {
            let offset = u64::from(self.start) + u64::from(self.next) * u64::from(self.chunk);
            let Ok(offset) = u32::try_from(offset) else {
                return Err(Error::NoRoom { region: "payload", requested: u32::MAX, limit: u32::MAX });
            };
            target.receive(offset, bytes)?;
            self.ended = bytes.len() < usize::from(self.chunk);
            self.next += 1;
            // Bit 0 was of the chunk that is `next` now.
            let is_kept = self.kept & 1 != 0;
            self.kept >>= 1;
            match slots.get(self.next as usize % W.max(1)) {
                Some((len, slot)) if is_kept && !self.ended => bytes = &slot[..usize::from(*len)],
                _ => return Ok(()),
            }
        }
    }
}

//! A device at the other end of a link, and weather in between, with a clock of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read, Write};
use std::time::Duration;

use host_trainer::push::{Action, PushError, Sender, Update};
use update_core::Error;
use update_core::link::{Info, Link, Target};
use update_core::manifest::MANIFEST_LEN;

/// Numbers of a [`Recorder`]'s states.
pub mod state {
    /// Nothing goes on.
    pub const IDLE: u8 = 0;
    /// An update was accepted and is being received.
    pub const RECEIVING: u8 = 1;
    /// An update is installed and runs after the next restart.
    pub const INSTALLED: u8 = 2;
    /// The new image runs, and is not confirmed.
    pub const TRIAL: u8 = 3;
}

/// A target that keeps what it is told, through restarts, and checks it against what it should be told.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// The manifest and the payload that it must get; without them it takes whatever comes.
    pub expected: Option<([u8; MANIFEST_LEN], Vec<u8>)>,
    /// Payload so far.
    pub stored: Vec<u8>,
    /// Statements that replaced keys.
    pub statements: Vec<Vec<u8>>,
    /// Times that an update was offered, installed, confirmed; restarts.
    pub counts: [u32; 4],
    /// What it says of itself, but for `received`.
    pub info: Info,
    /// Error of the next call but [`Target::info`].
    pub trouble: Option<Error>,
    /// Bytes stored in all, those of offers before the last included.
    pub received: u64,
    /// Manifest of the last offer.
    pub manifest: Option<[u8; MANIFEST_LEN]>,
}

impl Recorder {
    /// A device that runs version 1 and takes anything.
    pub fn new() -> Self {
        let info = Info { product: 7, version: 1, state: state::IDLE, profile: 3, image: *b"im01", received: 0 };
        Self {
            expected: None,
            stored: Vec::new(),
            statements: Vec::new(),
            counts: [0; 4],
            info,
            trouble: None,
            received: 0,
            manifest: None,
        }
    }

    /// A device that runs version 1 and must be told this.
    pub fn expecting(update: Update<'_>) -> Self {
        Self { expected: Some((*update.manifest, update.payload.to_vec())), ..Self::new() }
    }

    fn trouble(&mut self) -> Result<(), Error> {
        self.trouble.take().map_or(Ok(()), Err)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Target for Recorder {
    fn info(&mut self) -> Info {
        Info { received: self.stored.len() as u32, ..self.info }
    }

    fn offer(&mut self, manifest: &[u8; MANIFEST_LEN]) -> Result<u32, Error> {
        self.trouble()?;
        self.counts[0] += 1;
        if let Some((expected, _)) = &self.expected {
            assert!(manifest == expected, "another manifest arrived than was sent");
        }
        if self.manifest != Some(*manifest) {
            self.stored.clear();
            self.manifest = Some(*manifest);
        }
        self.info.state = state::RECEIVING;
        Ok(self.stored.len() as u32)
    }

    fn receive(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        self.trouble()?;
        assert_eq!(offset as usize, self.stored.len(), "bytes out of order");
        if let Some((_, payload)) = &self.expected {
            let place = payload.get(self.stored.len()..self.stored.len() + bytes.len());
            assert!(place == Some(bytes), "wrong bytes at {offset}");
        }
        self.stored.extend_from_slice(bytes);
        self.received += bytes.len() as u64;
        Ok(())
    }

    fn install(&mut self) -> Result<(), Error> {
        self.trouble()?;
        if let Some((_, payload)) = &self.expected {
            assert_eq!(self.stored.len(), payload.len(), "installed before all of it was there");
        }
        if self.info.state != state::RECEIVING {
            return Err(Error::WrongState { state: self.info.state });
        }
        self.counts[1] += 1;
        self.info.state = state::INSTALLED;
        Ok(())
    }

    fn confirm(&mut self) -> Result<(), Error> {
        self.trouble()?;
        // Asked again, since the answer was lost with the power: it is confirmed.
        if self.info.state == state::IDLE && self.counts[2] > 0 {
            return Ok(());
        }
        if self.info.state != state::TRIAL {
            return Err(Error::WrongState { state: self.info.state });
        }
        self.counts[2] += 1;
        self.info.state = state::IDLE;
        Ok(())
    }

    fn rotate(&mut self, statement: &[u8]) -> Result<(), Error> {
        self.trouble()?;
        self.statements.push(statement.to_vec());
        Ok(())
    }

    fn reboot(&mut self) {
        self.counts[3] += 1;
        self.boot();
    }
}

impl Recorder {
    /// What a restart does, wanted or not.
    fn boot(&mut self) {
        if self.info.state == state::INSTALLED {
            self.info = Info { version: self.info.version + 1, state: state::TRIAL, image: *b"im02", ..self.info };
        }
    }
}

/// What becomes of a frame: copies of it, each with a delay of its own. None: it is lost.
pub type Fate<'a> = dyn FnMut(&[u8]) -> Vec<(Duration, Vec<u8>)> + 'a;

/// xorshift64* (Vigna 2016); never 0.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for each `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `n`, which is above 0.
    pub fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) * u64::from(n)) >> 32) as u32
    }
}

/// Chances in a thousand of what can happen to a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// It is lost.
    pub lost: u32,
    /// It comes twice.
    pub doubled: u32,
    /// It comes up to a second late.
    pub late: u32,
    /// Some of its bytes are others.
    pub damaged: u32,
}

impl Weather {
    /// The fate of each frame, from `dice`.
    pub fn fate(self, mut dice: Dice) -> impl FnMut(&[u8]) -> Vec<(Duration, Vec<u8>)> {
        move |frame| {
            if dice.below(1000) < self.lost {
                return Vec::new();
            }
            let copies = if dice.below(1000) < self.doubled { 2 } else { 1 };
            let mut copy = || {
                let mut bytes = frame.to_vec();
                let late = if dice.below(1000) < self.late { dice.below(1000) } else { 0 };
                if dice.below(1000) < self.damaged {
                    for _ in 0..=dice.below(3) {
                        let at = dice.below(bytes.len() as u32) as usize;
                        bytes[at] = dice.below(256) as u8;
                    }
                }
                (Duration::from_millis(late.into()), bytes)
            };
            (0..copies).map(|_| copy()).collect()
        }
    }
}

/// What is on the air: when it arrives, a number that tells equals apart, whether at the device, the bytes.
type Arrival = (Duration, u64, bool, Vec<u8>);

/// A link with a device at its end, in simulated time.
#[derive(Debug)]
pub struct Radio<const N: usize, const W: usize> {
    /// The device's end.
    pub link: Link<N, W>,
    /// The device.
    pub target: Recorder,
    /// Bits a second.
    pub rate: u32,
    /// From the end of a frame to its arrival.
    pub delay: Duration,
    /// Whether only one end can speak at a time.
    pub half_duplex: bool,
    /// The device loses all but its flash when it has got so many pieces; ascending.
    pub cuts: Vec<u64>,
    /// Times that it has.
    pub cut: u32,
    /// Bytes and frames that each end put on the air: host, device.
    pub sent: [(u64, u64); 2],
    /// Time.
    pub now: Duration,
    /// When the host's and the device's transmitter are free.
    free: [Duration; 2],
    air: BinaryHeap<Reverse<Arrival>>,
    delivered: u64,
    count: u64,
}

/// Steps after which a simulation counts as endless.
const STEPS: u64 = 2_000_000;

impl<const N: usize, const W: usize> Radio<N, W> {
    /// A link of `rate` bits a second, half duplex, without delay.
    pub fn new(target: Recorder, rate: u32) -> Self {
        Self {
            link: Link::new(0),
            target,
            rate,
            delay: Duration::ZERO,
            half_duplex: true,
            cuts: Vec::new(),
            cut: 0,
            sent: [(0, 0); 2],
            now: Duration::ZERO,
            free: [Duration::ZERO; 2],
            air: BinaryHeap::new(),
            delivered: 0,
            count: 0,
        }
    }

    /// Runs `sender` to its end.
    ///
    /// # Errors
    /// The sender's.
    ///
    /// # Panics
    /// When it does not end, and when the target is told what it should not be.
    pub fn run(&mut self, sender: &mut Sender<'_>, fate: &mut Fate<'_>) -> Result<(), PushError> {
        for _ in 0..STEPS {
            match sender.poll(self.now)? {
                Action::Done => return Ok(()),
                Action::Send(frame) => {
                    let frame = frame.to_vec();
                    self.transmit(true, &frame, fate);
                }
                Action::Wait(until) => match self.air.peek() {
                    Some(Reverse((at, ..))) if *at <= until => {
                        let Some(Reverse((at, _, at_device, bytes))) = self.air.pop() else { continue };
                        self.now = self.now.max(at);
                        if at_device {
                            self.arrive(&bytes, fate);
                        } else {
                            sender.receive(self.now, &bytes)?;
                        }
                    }
                    _ => self.now = self.now.max(until),
                },
            }
        }
        panic!("no end after {STEPS} steps: {sender:?}");
    }

    /// Puts `frame` on the air.
    pub fn transmit(&mut self, by_host: bool, frame: &[u8], fate: &mut Fate<'_>) {
        let who = usize::from(!by_host);
        self.sent[who].0 += frame.len() as u64;
        self.sent[who].1 += 1;
        let free = if self.half_duplex { self.free[0].max(self.free[1]) } else { self.free[who] };
        let end = free.max(self.now) + Duration::from_secs_f64(8.0 * frame.len() as f64 / f64::from(self.rate));
        self.free[who] = end;
        for (late, bytes) in fate(frame) {
            self.count += 1;
            self.air.push(Reverse((end + self.delay + late, self.count, by_host, bytes)));
        }
    }

    fn arrive(&mut self, mut bytes: &[u8], fate: &mut Fate<'_>) {
        self.delivered += 1;
        if self.cuts.first().is_some_and(|&cut| cut <= self.delivered) {
            self.cuts.remove(0);
            self.cut += 1;
            self.target.boot();
            self.link = Link::new(0);
        }
        while !bytes.is_empty() {
            let step = self.link.feed(bytes, &mut self.target);
            assert!(step.consumed > 0 && step.reply.len() <= 32, "{step:?}");
            bytes = &bytes[step.consumed..];
            let (reply, reboot) = (step.reply.to_vec(), step.reboot);
            if !reply.is_empty() {
                self.transmit(false, &reply, fate);
            }
            if reboot {
                self.target.reboot();
                self.link = Link::new(0);
            }
        }
    }
}

/// A stream of the standard library as `embedded-io` wants it.
#[derive(Debug)]
pub struct Stream<T>(pub T);

impl<T> embedded_io::ErrorType for Stream<T> {
    type Error = io::Error;
}

impl<T: Read> embedded_io::Read for Stream<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<T: Write> embedded_io::Write for Stream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

//! The host's end of the link, without clock or stream: the time is passed in, frames come out.

use std::collections::VecDeque;
use std::time::Duration;

use codec_core::varint;
use update_core::link::Info;
use update_core::link::frame::{Frames, MAX_FRAME, MIN_FRAME, message_room, seal};
use update_core::link::message::{Kind, PROTOCOL, Part, Reply, Request};
use update_core::manifest::MANIFEST_LEN;

use super::PushError;
use super::clock::Clock;
use super::flight::{Asked, Flight};

/// How to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Longest frame, bytes, delimiter included: 32 to 1024. The device may want shorter ones.
    pub frame: u16,
    /// Most chunks on their way: 1 to 33. The device may want fewer.
    pub window: u8,
    /// Whether answers are asked for twice a window, so that sending goes on while they come. Where both ends cannot
    /// speak at once, answers are asked for once a window, when the host falls silent.
    pub full_duplex: bool,
    /// Least number of times that the device is asked in vain before it counts as gone.
    pub tries: u32,
    /// Least time without a word from the device before it counts as gone.
    pub silence: Duration,
    /// The same while it installs or restarts.
    pub busy: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            frame: 250,
            window: 33,
            full_duplex: false,
            tries: 12,
            silence: Duration::from_secs(30),
            busy: Duration::from_secs(300),
        }
    }
}

/// An update as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// What is signed.
    pub manifest: &'a [u8; MANIFEST_LEN],
    /// What is stored on the device.
    pub payload: &'a [u8],
}

/// What the device is to do, one after the other.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// Say what it is; [`Sender::infos`] collects that.
    Query,
    /// Replace a key; 1 to 132 bytes.
    Rotate(&'a [u8]),
    /// Take and store an update.
    Store(Update<'a>),
    /// Install it.
    Install,
    /// Keep the image that runs.
    Confirm,
    /// Restart.
    Reboot,
}

/// What is to be done now.
#[derive(Debug)]
pub enum Action<'a> {
    /// Send this frame.
    Send(&'a [u8]),
    /// Wait for bytes, until this time at most.
    Wait(Duration),
    /// All tasks are done.
    Done,
}

/// What went over the air.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames sent.
    pub frames_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Of those, frames sent again.
    pub frames_again: u64,
    /// Answers that arrived whole.
    pub frames_in: u64,
    /// Bytes that arrived.
    pub bytes_in: u64,
    /// Sessions.
    pub sessions: u32,
}

impl Traffic {
    /// Adds what another sender sent.
    pub(super) fn add(&mut self, other: &Self) {
        self.frames_out += other.frames_out;
        self.bytes_out += other.bytes_out;
        self.frames_again += other.frames_again;
        self.frames_in += other.frames_in;
        self.bytes_in += other.bytes_in;
        self.sessions += other.sessions;
    }
}

/// What the session's frames are about.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Hello { nonce: u32 },
    Query,
    Offer { chunk: u16, piece: usize },
    Data { start: u32, chunk: u16 },
    Install,
    Confirm,
    Rotate { piece: usize },
    Reboot,
    Done,
}

impl Stage {
    /// Whether requests of this kind are what it sends and waits for.
    fn asks_for(self, kind: Kind) -> bool {
        match kind {
            Kind::Hello => matches!(self, Self::Hello { .. }),
            Kind::Query => matches!(self, Self::Query),
            Kind::Offer => matches!(self, Self::Offer { .. }),
            Kind::Data | Kind::DataAsk => matches!(self, Self::Data { .. }),
            Kind::Install => matches!(self, Self::Install),
            Kind::Confirm => matches!(self, Self::Confirm),
            Kind::Rotate => matches!(self, Self::Rotate { .. }),
            Kind::Reboot => matches!(self, Self::Reboot),
        }
    }
}

/// What both ends agreed on.
#[derive(Clone, Copy, Debug)]
struct Terms {
    session: u16,
    /// As the pieces carry it.
    nonce: u8,
    frame: usize,
    window: u32,
}

/// The host's end.
#[derive(Debug)]
pub struct Sender<'a> {
    settings: Settings,
    tasks: &'a [Task<'a>],
    task: usize,
    stage: Stage,
    terms: Terms,
    /// Numbers of the sessions before, the last [`USED`].
    used: VecDeque<u16>,
    flight: Flight,
    clock: Clock,
    /// When silence is long enough to ask again.
    deadline: Duration,
    /// When the device was last heard, or first spoken to.
    heard: Option<Duration>,
    /// Questions since.
    tries: u32,
    /// Bytes sent since.
    unanswered: usize,
    restarts: u32,
    nonces: u64,
    infos: Vec<Info>,
    traffic: Traffic,
    frames: Box<Frames<MAX_FRAME>>,
    out: Box<[u8; MAX_FRAME]>,
}

/// Questions without news after which an answer that knows less than one before does so because the device was
/// restarted, not because it is late.
const IN_VAIN: u32 = 4;
/// Sessions from which something can still be on its way.
const USED: usize = 64;
/// Time that a device may take to act before it is asked again.
const ACT: Duration = Duration::from_secs(2);

impl<'a> Sender<'a> {
    /// A sender of `tasks`. `seed`: never the same twice, as far as can be; the nonces of its sessions follow from it.
    #[must_use]
    pub fn new(settings: Settings, tasks: &'a [Task<'a>], seed: u64) -> Self {
        let frame = settings.frame.clamp(MIN_FRAME as u16, MAX_FRAME as u16);
        let settings = Settings { frame, window: settings.window.clamp(1, 33), ..settings };
        let mut sender = Self {
            settings,
            tasks,
            task: 0,
            stage: Stage::Done,
            terms: Terms { session: 0, nonce: 0, frame: usize::from(frame), window: 1 },
            used: VecDeque::with_capacity(USED),
            flight: Flight::new(0, 1, 1),
            clock: Clock::default(),
            deadline: Duration::ZERO,
            heard: None,
            tries: 0,
            unanswered: 0,
            restarts: 0,
            nonces: seed,
            infos: Vec::new(),
            traffic: Traffic::default(),
            frames: Box::default(),
            out: Box::new([0; MAX_FRAME]),
        };
        sender.hello();
        sender
    }

    /// What the device said of itself, one for each [`Task::Query`] done.
    #[must_use]
    pub fn infos(&self) -> &[Info] {
        &self.infos
    }

    /// What went over the air so far.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What is being done, with bytes done and bytes in all where it is sending the payload.
    #[must_use]
    pub fn progress(&self) -> (&'static str, Option<(u64, u64)>) {
        let bytes = match (self.stage, self.tasks.get(self.task)) {
            (Stage::Data { start, chunk }, Some(Task::Store(update))) => {
                let total = update.payload.len() as u64;
                let done = u64::from(start) + u64::from(self.flight.base()) * u64::from(chunk);
                Some((done.min(total), total))
            }
            _ => None,
        };
        (self.doing(), bytes)
    }

    /// Byte of the payload from which the device wanted it in this session, once it has accepted it.
    #[must_use]
    pub fn start(&self) -> Option<u32> {
        match self.stage {
            Stage::Data { start, .. } => Some(start),
            _ => None,
        }
    }

    /// Whether all tasks are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// What is to be done at `now`, a time that never goes back. After [`Action::Send`] it is asked again at once.
    ///
    /// # Errors
    /// [`PushError::Silent`] when the device has not answered for long enough.
    pub fn poll(&mut self, now: Duration) -> Result<Action<'_>, PushError> {
        if let Stage::Done = self.stage {
            return Ok(Action::Done);
        }
        let heard = *self.heard.get_or_insert(now);
        let item = match self.flight.take() {
            Some(item) => item,
            None if now < self.deadline => return Ok(Action::Wait(self.deadline)),
            None => {
                let (waited, tries) = (now.saturating_sub(heard), self.tries);
                let patience = if self.takes_long() { self.settings.busy } else { self.settings.silence };
                if tries >= self.settings.tries && waited >= patience {
                    return Err(PushError::Silent { doing: self.doing(), tries, waited });
                }
                self.clock.silent();
                self.flight.probe();
                // What was sent before has had its time.
                self.unanswered = 0;
                // Everything is there, as the device says, and yet it does not say what follows from that.
                let all = PushError::Protocol { field: "words", found: self.flight.base(), limit: 0 };
                self.flight.take().ok_or(all)?
            }
        };
        let (number, asks, before) = item;
        let len = self.write(number, asks)?;
        self.traffic.frames_out += 1;
        self.traffic.bytes_out += len as u64;
        self.traffic.frames_again += u64::from(before > 0);
        self.unanswered += len;
        if asks {
            self.tries += 1;
            self.flight.asked(number, Asked { at: now, bytes: self.unanswered });
            let act = if self.takes_long() { ACT } else { Duration::ZERO };
            self.deadline = now + self.clock.wait(self.unanswered, act);
        }
        Ok(Action::Send(&self.out[..len]))
    }

    /// Takes what came from the device until `now`.
    ///
    /// # Errors
    /// What the device refuses; what cannot be.
    pub fn receive(&mut self, now: Duration, mut bytes: &[u8]) -> Result<(), PushError> {
        self.traffic.bytes_in += bytes.len() as u64;
        while let Some(len) = self.frames.next(&mut bytes) {
            if let Ok((reply, [])) = postcard::take_from_bytes::<Reply>(self.frames.message(len)) {
                self.traffic.frames_in += 1;
                self.take(now, reply)?;
            }
        }
        Ok(())
    }

    /// The stream was lost, and there is another: what was on its way is gone.
    ///
    /// # Errors
    /// [`PushError::Restarting`] when that happens again and again.
    pub fn reconnected(&mut self) -> Result<(), PushError> {
        *self.frames = Frames::new();
        match self.stage {
            Stage::Done => Ok(()),
            // That is what it was asked for.
            Stage::Reboot => {
                self.advance();
                Ok(())
            }
            _ => self.restart(),
        }
    }

    fn doing(&self) -> &'static str {
        match self.stage {
            Stage::Hello { .. } => "answer",
            Stage::Query => "say what it is",
            Stage::Offer { .. } => "take the update",
            Stage::Data { .. } => "store the update",
            Stage::Install => "install",
            Stage::Confirm => "confirm",
            Stage::Rotate { .. } => "replace a key",
            Stage::Reboot => "restart",
            Stage::Done => "do nothing more",
        }
    }

    /// Tells the queries of a session apart.
    fn token(&self) -> u8 {
        (self.task % 256) as u8
    }

    /// Whether the device may take its time.
    fn takes_long(&self) -> bool {
        matches!(self.stage, Stage::Install | Stage::Reboot)
    }

    fn hello(&mut self) {
        // Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014: the mixing of SplitMix64.
        self.nonces = self.nonces.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.nonces ^ (self.nonces >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // The pieces carry the lowest bits, which are other ones for 128 sessions: what is added above is odd.
        let nonce = (mixed >> 32) as u32 & !0x7f | u32::from(Part::nonce(self.nonces as u32));
        self.traffic.sessions += 1;
        self.enter(Stage::Hello { nonce }, 1);
    }

    fn restart(&mut self) -> Result<(), PushError> {
        self.restarts += 1;
        if self.restarts > self.settings.tries {
            return Err(PushError::Restarting { times: self.restarts });
        }
        self.hello();
        Ok(())
    }

    /// Starts `stage`, which has `items`.
    fn enter(&mut self, stage: Stage, items: u32) {
        let (window, ask_every) = match stage {
            Stage::Data { .. } if self.settings.full_duplex => (self.terms.window, self.terms.window.div_ceil(2)),
            Stage::Data { .. } => (self.terms.window, self.terms.window),
            // All pieces of a manifest or statement at once.
            _ => (items, items),
        };
        self.stage = stage;
        self.flight = Flight::new(items, window, ask_every);
    }

    /// Starts the task that is next in line.
    fn begin(&mut self) {
        let room = message_room(self.terms.frame);
        // Number, session, chunk or length, place, question; whole words.
        let piece = (room - (1 + 2 + 2 + 1 + 1)) / 4 * 4;
        let pieces = |len: usize| len.div_ceil(piece) as u32;
        match self.tasks.get(self.task) {
            None => self.enter(Stage::Done, 0),
            Some(Task::Query) => self.enter(Stage::Query, 1),
            Some(Task::Rotate(statement)) => self.enter(Stage::Rotate { piece }, pieces(statement.len())),
            Some(Task::Store(update)) => {
                let chunk = chunk_len(self.terms.frame, update.payload.len()) as u16;
                self.enter(Stage::Offer { chunk, piece }, pieces(MANIFEST_LEN));
            }
            Some(Task::Install) => self.enter(Stage::Install, 1),
            Some(Task::Confirm) => self.enter(Stage::Confirm, 1),
            Some(Task::Reboot) => self.enter(Stage::Reboot, 1),
        }
    }

    fn advance(&mut self) {
        self.task += 1;
        self.restarts = 0;
        self.begin();
    }

    /// Writes the frame of item `number` to `out`; its length.
    fn write(&mut self, number: u32, ask: bool) -> Result<usize, PushError> {
        let session = self.terms.session;
        let nonce = self.terms.nonce;
        let piece_of = |bytes: &'a [u8], piece: usize| {
            let at = number as usize * piece;
            (Part { at: (at / 4) as u8, ask, nonce }, &bytes[at..bytes.len().min(at + piece)])
        };
        let (request, tail): (Request, &[u8]) = match (self.stage, self.tasks.get(self.task)) {
            (Stage::Hello { nonce }, _) => (Request::Hello { nonce }, &[]),
            (Stage::Offer { chunk, piece }, Some(Task::Store(update))) => {
                let (part, tail) = piece_of(update.manifest, piece);
                (Request::Offer { session, chunk, part }, tail)
            }
            (Stage::Rotate { piece }, Some(Task::Rotate(statement))) => {
                let (part, tail) = piece_of(statement, piece);
                (Request::Rotate { session, len: statement.len() as u8, part }, tail)
            }
            (Stage::Data { start, chunk }, Some(Task::Store(update))) => {
                let at = start as usize + number as usize * usize::from(chunk);
                let tail = &update.payload[at..update.payload.len().min(at + usize::from(chunk))];
                let request =
                    if ask { Request::DataAsk { session, number } } else { Request::Data { session, number } };
                (request, tail)
            }
            (Stage::Install, _) => (Request::Install { session }, &[]),
            (Stage::Confirm, _) => (Request::Confirm { session }, &[]),
            (Stage::Reboot, _) => (Request::Reboot { session }, &[]),
            _ => (Request::Query { session, token: self.token() }, &[]),
        };
        let frame = seal(&request, tail, &mut self.out[..self.terms.frame]);
        frame.map(<[u8]>::len).map_err(|_| PushError::Protocol {
            field: "frame",
            found: tail.len() as u32,
            limit: self.terms.frame as u32,
        })
    }

    fn take(&mut self, now: Duration, reply: Reply) -> Result<(), PushError> {
        if let Reply::Welcome { nonce, session, protocol, frame, window } = reply {
            return match self.stage {
                Stage::Hello { nonce: ours } if ours == nonce => {
                    self.hear(now, |_| true);
                    self.welcome(nonce, session, protocol, frame, window)
                }
                _ => Ok(()),
            };
        }
        let (Reply::Info { session, .. }
        | Reply::Have { session, .. }
        | Reply::Accepted { session, .. }
        | Reply::Ack { session, .. }
        | Reply::Done { session, .. }
        | Reply::Refused { session, .. }
        | Reply::NoSession { session, .. }
        | Reply::Welcome { session, .. }) = reply;
        if session != self.terms.session || matches!(self.stage, Stage::Hello { .. } | Stage::Done) {
            return Ok(());
        }
        match (self.stage, reply) {
            // Late: of a session of the same number, before a restart.
            (stage, Reply::NoSession { kind, .. }) if !stage.asks_for(kind) => {}
            (Stage::Reboot, Reply::NoSession { .. }) => {
                self.hear(now, |_| true);
                self.advance();
            }
            (_, Reply::NoSession { .. }) => return self.restart(),
            (_, Reply::Refused { refusal, .. }) => return Err(PushError::Refused(refusal)),
            (Stage::Query, Reply::Info { token, info, .. }) if token == self.token() => {
                self.hear(now, |_| true);
                self.infos.push(info);
                self.advance();
            }
            (Stage::Offer { piece, .. }, Reply::Have { kind: Kind::Offer, words, .. })
            | (Stage::Rotate { piece }, Reply::Have { kind: Kind::Rotate, words, .. }) => {
                let len = match self.tasks.get(self.task) {
                    Some(Task::Rotate(statement)) => statement.len(),
                    _ => MANIFEST_LEN,
                };
                let has =
                    |word: usize| word >= len.div_ceil(4) || words.checked_shr(word as u32).is_some_and(|w| w & 1 != 0);
                let arrived = |number: u32| (0..piece / 4).all(|i| has(number as usize * piece / 4 + i));
                if !self.hear(now, arrived) {
                    return self.restart();
                }
            }
            (Stage::Offer { chunk, .. }, Reply::Accepted { start, .. }) => {
                self.hear(now, |_| true);
                self.accepted(start, chunk)?;
            }
            (Stage::Data { .. }, Reply::Ack { next, kept, .. }) => {
                let before = self.flight.base();
                let is_kept = |number: u32| {
                    let place = number.checked_sub(next).and_then(|ahead| ahead.checked_sub(1));
                    place.is_some_and(|place| kept.checked_shr(place).is_some_and(|bits| bits & 1 != 0))
                };
                if !self.hear(now, |number| number < next || is_kept(number)) {
                    return self.restart();
                }
                if self.flight.base() > before {
                    self.restarts = 0;
                }
                if self.flight.is_done() {
                    self.advance();
                }
            }
            (stage, Reply::Done { kind, .. }) if stage.asks_for(kind) => {
                self.hear(now, |_| true);
                self.advance();
            }
            // Late, and of no more interest.
            _ => {}
        }
        Ok(())
    }

    /// The device was heard: `has_arrived` says of which items it told. Whether it still has what it had: if not, it
    /// was restarted, and has numbered a new session as it had this one.
    fn hear(&mut self, now: Duration, has_arrived: impl Fn(u32) -> bool) -> bool {
        let news = self.flight.learn(has_arrived);
        // In one session, what is late tells of less than what came before it, and of nothing more.
        let forgot = news.denied && (news.any || self.tries >= IN_VAIN);
        if let Some(asked) = news.answered {
            self.clock.sample(now.saturating_sub(asked.at), asked.bytes);
        }
        // A device that answers and gets nowhere is no better than a silent one.
        if news.any {
            self.heard = Some(now);
            self.tries = 0;
            self.clock.heard();
            // In full duplex a part of it is on its way still.
            self.deadline = now + self.clock.wait(self.unanswered, Duration::ZERO);
        }
        self.unanswered = 0;
        !forgot
    }

    fn welcome(&mut self, nonce: u32, session: u16, protocol: u8, frame: u16, window: u8) -> Result<(), PushError> {
        let wrong = |field, found, limit| Err(PushError::Protocol { field, found, limit });
        if protocol != PROTOCOL {
            return wrong("protocol", protocol.into(), PROTOCOL.into());
        }
        if usize::from(frame) < MIN_FRAME {
            return wrong("frame", frame.into(), MIN_FRAME as u32);
        }
        if !(1..=33).contains(&window) {
            return wrong("window", window.into(), 33);
        }
        // A number has 16 bits, and a device that was restarted can come upon one that it has given before. What is late
        // from that session would count in this one, and its chunks belong elsewhere.
        if self.used.contains(&session) {
            return self.restart();
        }
        if self.used.len() == USED {
            self.used.pop_front();
        }
        self.used.push_back(session);
        let window = u32::from(window.min(self.settings.window));
        self.terms =
            Terms { session, nonce: Part::nonce(nonce), frame: usize::from(frame.min(self.settings.frame)), window };
        self.begin();
        Ok(())
    }

    fn accepted(&mut self, start: u32, chunk: u16) -> Result<(), PushError> {
        let Some(Task::Store(update)) = self.tasks.get(self.task) else { return Ok(()) };
        let Some(left) = update.payload.len().checked_sub(start as usize) else {
            let limit = u32::try_from(update.payload.len()).unwrap_or(u32::MAX);
            return Err(PushError::Protocol { field: "start", found: start, limit });
        };
        self.enter(Stage::Data { start, chunk }, left.div_ceil(usize::from(chunk)) as u32);
        if self.flight.is_done() {
            self.advance();
        }
        Ok(())
    }
}

/// Bytes of a chunk of a payload of `payload` bytes in frames of `frame` bytes: as many as leave room for the largest
/// chunk number.
#[must_use]
pub fn chunk_len(frame: usize, payload: usize) -> usize {
    let room = message_room(frame) - (1 + 2);
    let fits = |digits: &usize| {
        let last = payload.div_ceil(room - digits).saturating_sub(1);
        u32::try_from(last).is_ok_and(|last| varint::len(last) <= *digits)
    };
    room - (1..5).find(fits).unwrap_or(5)
}

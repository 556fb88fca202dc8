//! An update from its first byte to the verdict: sends, installs, restarts, looks what runs.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use codec_core::container::v2::Header;
use update_core::link::Info;
use update_core::link::message::Kind;
use update_core::manifest::{Manifest, Mode};
use update_core::record::State;

use super::PushError;
use super::port::Port;
use super::sender::{Action, Sender, Settings, Task, Traffic, Update};

/// Pause before connecting again, and before looking again whether the device has restarted.
const PAUSE: Duration = Duration::from_millis(250);

/// What is to be done with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How to send.
    pub settings: Settings,
    /// Restart the device after installing, and look what runs then.
    pub reboot: bool,
    /// Keep the new image for good, once it runs.
    pub confirm: bool,
}

/// How far it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Installed: the new image runs after the next restart.
    Installed,
    /// The new image ran already.
    There,
    /// The new image runs.
    Running,
    /// The new image runs and stays.
    Confirmed,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How far it got.
    pub outcome: Outcome,
    /// What the device said of itself before.
    pub before: Info,
    /// What it said last.
    pub after: Info,
    /// Byte of the payload from which the device wanted it: above 0 when it had a part already.
    pub resumed_from: u32,
    /// What went over the air.
    pub traffic: Traffic,
    /// From the first word to the last.
    pub took: Duration,
}

/// Sends `update` and does what `choice` says. `connect` opens the stream, again when it was lost. `progress` gets what
/// is being done, and bytes done and bytes in all while the payload is sent.
///
/// # Errors
/// Why it did not get through. What the device has stored by then, it keeps: the next run goes on there.
pub fn run(
    connect: &mut dyn FnMut() -> io::Result<Box<dyn Port>>,
    update: Update<'_>,
    choice: &Choice,
    progress: &mut dyn FnMut(&'static str, Option<(u64, u64)>),
) -> Result<Report, PushError> {
    let mut line = Line::new(connect, progress);
    line.update = Some(update);
    line.open(Duration::ZERO)?;

    let settings = choice.settings;
    let mut tasks = vec![Task::Query, Task::Store(update), Task::Install, Task::Query];
    tasks.extend(choice.reboot.then_some(Task::Reboot));
    let mut sender = Sender::new(settings, &tasks, seed());
    let driven = line.drive(&mut sender, settings.silence);
    let mut traffic = *sender.traffic();
    let (before, installed, outcome) = match (driven, sender.infos()) {
        // It may have restarted before it could answer; what runs is seen below.
        (Ok(()) | Err(PushError::Silent { .. }), &[before, installed]) => (before, installed, Outcome::Installed),
        // An earlier run has got so far.
        (Err(PushError::There), &[before]) => (before, before, Outcome::There),
        // It may have installed, lost its power, and started the new image, before it could answer.
        (Err(PushError::Refused(refusal)), &[before]) if refusal.kind == Kind::Install => {
            let now = line.look(settings, &mut traffic)?;
            if now.image == before.image {
                return Err(PushError::Refused(refusal));
            }
            (before, before, Outcome::Running)
        }
        (driven, infos) => {
            driven?;
            return Err(PushError::Protocol { field: "infos", found: infos.len() as u32, limit: 2 });
        }
    };
    let mut report = Report {
        outcome,
        before,
        after: installed,
        resumed_from: line.resumed_from.unwrap_or(0),
        traffic,
        took: line.begin.elapsed(),
    };
    if outcome == Outcome::Installed && !choice.reboot {
        return Ok(report);
    }

    if outcome != Outcome::There {
        report.outcome = Outcome::Running;
        report.after = line.restarted(&installed, settings, &mut report.traffic)?;
        if report.after.image == before.image {
            return Err(PushError::NotTaken { version: report.after.version });
        }
    }
    if choice.confirm {
        let tasks = [Task::Confirm, Task::Query];
        let mut sender = Sender::new(settings, &tasks, seed());
        let driven = line.drive(&mut sender, settings.busy);
        report.traffic.add(sender.traffic());
        driven?;
        report.after = sender.infos().last().copied().unwrap_or(report.after);
        report.outcome = Outcome::Confirmed;
    }
    report.took = line.begin.elapsed();
    Ok(report)
}

/// Replaces a key of the device by what `statement` says, and returns what the device says of itself.
///
/// # Errors
/// Why not.
pub fn rotate(
    connect: &mut dyn FnMut() -> io::Result<Box<dyn Port>>,
    statement: &[u8],
    settings: Settings,
    progress: &mut dyn FnMut(&'static str, Option<(u64, u64)>),
) -> Result<Info, PushError> {
    let mut line = Line::new(connect, progress);
    line.open(Duration::ZERO)?;
    let tasks = [Task::Rotate(statement), Task::Query];
    let mut sender = Sender::new(settings, &tasks, seed());
    line.drive(&mut sender, settings.silence)?;
    sender.infos().first().copied().ok_or(PushError::Protocol { field: "infos", found: 0, limit: 1 })
}

/// Whether a device that says `info` can take `update`, as far as can be told before anything is sent. (It checks the
/// rest itself: signature, product, version, room.)
fn fits(update: Update<'_>, info: &Info) -> Result<(), PushError> {
    let Ok((manifest, _)) = Manifest::parse(update.manifest) else { return Ok(()) };
    if info.image == manifest.image.old().0 && info.version == manifest.version {
        return Err(PushError::There);
    }
    let rests = [State::Idle, State::Receiving, State::Confirmed, State::RolledBack].map(|state| state as u8);
    if manifest.mode != Mode::Slots || !rests.contains(&info.state) {
        return Ok(());
    }
    let Ok((header, _)) = Header::parse(update.payload) else { return Ok(()) };
    if header.profile as u8 > info.profile {
        return Err(PushError::TooLarge { needed: header.profile as u8, limit: info.profile });
    }
    match header.old {
        Some(old) if old.id.0 != info.image => Err(PushError::OtherImage { needed: old.id.0, found: info.image }),
        _ => Ok(()),
    }
}

/// A number that no run has had before, as far as the system's randomness goes.
fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// The stream, and how it is opened.
struct Line<'a> {
    connect: &'a mut dyn FnMut() -> io::Result<Box<dyn Port>>,
    port: Option<Box<dyn Port>>,
    begin: Instant,
    progress: &'a mut dyn FnMut(&'static str, Option<(u64, u64)>),
    resumed_from: Option<u32>,
    /// What is to be sent if the device can take it.
    update: Option<Update<'a>>,
}

/// Why an exchange stopped.
enum Stop {
    /// The stream is lost.
    Lost(io::Error),
    /// There is no point in going on.
    Failed(PushError),
}

impl<'a> Line<'a> {
    fn new(
        connect: &'a mut dyn FnMut() -> io::Result<Box<dyn Port>>,
        progress: &'a mut dyn FnMut(&'static str, Option<(u64, u64)>),
    ) -> Self {
        Self { connect, port: None, begin: Instant::now(), progress, resumed_from: None, update: None }
    }

    /// Opens the stream unless it is open; tries again for `patience`.
    fn open(&mut self, patience: Duration) -> Result<(), PushError> {
        let begin = Instant::now();
        while self.port.is_none() {
            // A zero byte ends what an earlier stream left behind.
            let opened = (self.connect)().and_then(|mut port| port.send(&[0]).map(|()| port));
            match opened {
                Ok(port) => self.port = Some(port),
                Err(error) if begin.elapsed() >= patience => return Err(PushError::NoConnection(error)),
                Err(_) => sleep(PAUSE),
            }
        }
        Ok(())
    }

    /// Runs `sender` to its end; waits `patience` for a stream when it is lost.
    fn drive(&mut self, sender: &mut Sender<'_>, patience: Duration) -> Result<(), PushError> {
        loop {
            self.open(patience)?;
            let Some(port) = &mut self.port else { continue };
            let seen = (&mut self.resumed_from, &mut self.update);
            match exchange(&mut **port, sender, self.begin, seen, self.progress) {
                Ok(()) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Lost(error)) => {
                    self.port = None;
                    sender.reconnected().map_err(|_| PushError::NoConnection(error))?;
                    if sender.is_done() {
                        return Ok(());
                    }
                    sleep(PAUSE);
                }
            }
        }
    }

    /// Waits until the device is another than it was after installing; what it is then, or still is when time is up.
    fn restarted(&mut self, installed: &Info, settings: Settings, traffic: &mut Traffic) -> Result<Info, PushError> {
        let begin = Instant::now();
        loop {
            (self.progress)("restart", None);
            let info = self.look(settings, traffic)?;
            let is_other = info.image != installed.image || info.state != installed.state;
            if is_other || begin.elapsed() >= settings.busy {
                return Ok(info);
            }
            sleep(PAUSE);
        }
    }

    /// What the device says of itself now, or when it is back.
    fn look(&mut self, settings: Settings, traffic: &mut Traffic) -> Result<Info, PushError> {
        let patient = Settings { silence: settings.busy, ..settings };
        let mut sender = Sender::new(patient, &[Task::Query], seed());
        let driven = self.drive(&mut sender, settings.busy);
        traffic.add(sender.traffic());
        driven?;
        let lacks = PushError::Protocol { field: "infos", found: 0, limit: 1 };
        sender.infos().first().copied().ok_or(lacks)
    }
}

fn exchange(
    port: &mut dyn Port,
    sender: &mut Sender<'_>,
    begin: Instant,
    (resumed_from, update): (&mut Option<u32>, &mut Option<Update<'_>>),
    progress: &mut dyn FnMut(&'static str, Option<(u64, u64)>),
) -> Result<(), Stop> {
    let mut buffer = [0; 512];
    loop {
        let (doing, bytes) = sender.progress();
        progress(doing, bytes);
        *resumed_from = resumed_from.or(sender.start());
        if let Some(info) = sender.infos().first()
            && let Some(update) = update.take()
        {
            fits(update, info).map_err(Stop::Failed)?;
        }
        let now = begin.elapsed();
        let wait = match sender.poll(now).map_err(Stop::Failed)? {
            Action::Done => return Ok(()),
            Action::Send(frame) => {
                port.send(frame).map_err(Stop::Lost)?;
                continue;
            }
            Action::Wait(until) => until.saturating_sub(now),
        };
        let len = port.receive(&mut buffer, wait).map_err(Stop::Lost)?;
        sender.receive(begin.elapsed(), &buffer[..len]).map_err(Stop::Failed)?;
    }
}

//! TCP and a pair of serial ports, with connections that break.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use host_trainer::cli::{self, exit};
use host_trainer::files::Scratch;
use host_trainer::push::port::{Address, Port};
use host_trainer::push::{Choice, Outcome, PushError, Settings, Update, run, split};
use serial2::SerialPort;
use tests::data::noise;
use tests::link::{Recorder, Stream, state};
use update_core::link::{Ended, Link, serve};

use super::MANIFEST;

const QUICK: Settings = Settings {
    frame: 64,
    window: 5,
    full_duplex: true,
    tries: 4,
    silence: Duration::from_secs(2),
    busy: Duration::from_secs(20),
};
const ALL: Choice = Choice { settings: QUICK, reboot: true, confirm: true };

/// A device behind a TCP port. It loses its link with every connection, and keeps what is in its flash.
struct Server {
    address: Address,
    target: Arc<Mutex<Recorder>>,
}

/// A stream that breaks when it has been read from `left` times.
struct Brittle {
    stream: TcpStream,
    left: u32,
}

impl Read for Brittle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::ConnectionReset)?;
        self.stream.read(buffer)
    }
}

impl Write for Brittle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Server {
    /// Serves for ever. The first connections last as many reads as `lives` says, all others until they end.
    fn start(target: Recorder, lives: &'static [u32]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let target = Arc::new(Mutex::new(target));
        let shared = Arc::clone(&target);
        thread::spawn(move || {
            let mut lives = lives.iter();
            for stream in listener.incoming() {
                let stream = Brittle { stream: stream.unwrap(), left: lives.next().copied().unwrap_or(u32::MAX) };
                let mut link = Link::<64, 4>::new(0);
                let mut target = shared.lock().unwrap();
                // A broken stream is what this is about.
                drop(serve(&mut Stream(stream), &mut link, &mut *target));
            }
        });
        Self { address, target }
    }

    fn push(&self, update: Update<'_>, choice: &Choice) -> Result<host_trainer::push::Report, PushError> {
        run(&mut || self.address.connect(), update, choice, &mut |_, _| {})
    }
}

#[test]
fn over_tcp_to_the_end() {
    let payload = noise(5000, 9);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let server = Server::start(Recorder::expecting(update), &[]);
    let report = server.push(update, &ALL).unwrap();
    assert_eq!((report.outcome, report.before.version, report.after.version), (Outcome::Confirmed, 1, 2));
    assert_eq!((report.after.state, report.resumed_from), (state::IDLE, 0));
    let target = server.target.lock().unwrap();
    assert_eq!((target.counts, &target.stored), ([1, 1, 1, 1], &payload));
}

#[test]
fn broken_connections_do_not_start_again() {
    let payload = noise(30_000, 4);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let server = Server::start(Recorder::expecting(update), &[80, 250, 100]);
    let report = server.push(update, &Choice { confirm: false, ..ALL }).unwrap();
    assert_eq!((report.outcome, report.after.state), (Outcome::Running, state::TRIAL));
    let target = server.target.lock().unwrap();
    assert_eq!((target.stored.len(), target.received), (payload.len(), payload.len() as u64));
    assert!(target.counts[0] > 1, "it was never interrupted");
    assert_eq!(target.counts[1..], [1, 0, 1]);
}

#[test]
fn what_was_sent_by_a_run_that_ended_is_not_sent_again() {
    let payload = noise(10_000, 4);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let mut target = Recorder::expecting(update);
    // As an earlier run left it.
    update_core::link::Target::offer(&mut target, &MANIFEST).unwrap();
    update_core::link::Target::receive(&mut target, 0, &payload[..6001]).unwrap();
    let server = Server::start(target, &[]);
    let report = server.push(update, &Choice { reboot: false, confirm: false, ..ALL }).unwrap();
    assert_eq!((report.outcome, report.resumed_from), (Outcome::Installed, 6001));
    assert_eq!(report.after.state, state::INSTALLED);
    assert!(report.traffic.bytes_out < 6000, "{:?}", report.traffic);
}

#[test]
fn an_update_that_does_not_run_is_told() {
    let update = Update { manifest: &MANIFEST, payload: &[1; 50] };
    let mut target = Recorder::expecting(update);
    target.info.image = *b"im02"; // what a restart leads to
    let server = Server::start(target, &[]);
    let error = server.push(update, &ALL).unwrap_err();
    assert!(matches!(error, PushError::NotTaken { version: 2 }), "{error}");
}

#[test]
fn nobody_there_and_nobody_answering_are_told_apart() {
    let update = Update { manifest: &MANIFEST, payload: &[1; 50] };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    // It accepts, in its queue, and says nothing.
    let error = run(&mut || address.connect(), update, &ALL, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, PushError::Silent { tries: 4.., .. }), "{error}");
    drop(listener);
    let error = run(&mut || address.connect(), update, &ALL, &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, PushError::NoConnection(_)), "{error}");
}

#[test]
fn the_command_line_ends_with_the_codes_it_documents() {
    let folder = Scratch::new("push-test").unwrap();
    let (file, short) = (folder.join("up.update"), folder.join("short.update"));
    let made = tests::rig::update(&tests::data::lines(3000), None, 2, None).bytes;
    std::fs::write(&file, &made).unwrap();
    std::fs::write(&short, &made[..made.len() - 1]).unwrap();
    let update = split(&made).unwrap();
    let gmcf = |file: &Path, address: &Address, more: &[&str]| {
        let address = address.to_string();
        let mut args = vec!["gmcf".as_ref(), "push".as_ref(), file.as_os_str(), "--device".as_ref(), address.as_ref()];
        args.extend(more.iter().map(AsRef::<OsStr>::as_ref));
        cli::run(args).map_or_else(|error| (error.exit_code(), error.message()), |()| (exit::OK, String::new()))
    };

    let good = Server::start(Recorder::expecting(update), &[]);
    assert_eq!(gmcf(&file, &good.address, &["--frame", "51", "--confirm"]).0, exit::OK);
    assert_eq!(good.target.lock().unwrap().counts, [1, 1, 1, 1]);

    let mut target = Recorder::expecting(update);
    target.trouble = Some(update_core::Error::WrongProduct { expected: 7, found: 8 });
    let other = Server::start(target, &[]);
    let (code, message) = gmcf(&file, &other.address, &[]);
    assert_eq!(code, exit::DEVICE_REFUSED);
    for word in ["take the update", "product 8", "product 7", "up.update", "try:"] {
        assert!(message.contains(word), "{word} is missing in\n{message}");
    }
    let mut target = Recorder::expecting(update);
    target.info.profile = 0;
    let small = Server::start(target, &[]);
    let (code, message) = gmcf(&file, &small.address, &[]);
    assert_eq!(code, exit::DEVICE_REFUSED);
    assert!(message.contains("profile small, the device has tiny"), "{message}");
    assert_eq!(small.target.lock().unwrap().counts, [0; 4]);
    let nobody = "tcp://127.0.0.1:1".parse().unwrap();
    assert_eq!(gmcf(&file, &nobody, &[]).0, exit::NO_ANSWER);
    let nothing = "serial:/dev/null/none".parse().unwrap();
    assert_eq!(gmcf(&file, &nothing, &[]).0, exit::NO_ANSWER);
    assert_eq!(gmcf(&short, &nobody, &[]).0, exit::INPUT);
    assert_eq!(gmcf(&file, &nobody, &["--no-reboot", "--confirm"]).0, exit::USAGE);
}

#[test]
fn what_was_made_against_another_image_is_not_sent() {
    let image: Vec<u8> = tests::data::lines(3000);
    let mut new = image.clone();
    new.splice(100..100, *b"something new");
    let made = tests::rig::update(&new, Some(&image), 2, None).bytes;
    let update = split(&made).unwrap();
    let server = Server::start(Recorder::expecting(update), &[]);
    let error = server.push(update, &ALL).unwrap_err();
    assert!(matches!(error, PushError::OtherImage { .. }), "{error}");
    assert_eq!(server.target.lock().unwrap().counts, [0; 4]);
}

#[test]
fn what_runs_already_is_not_sent() {
    let made = tests::rig::update(&tests::data::lines(3000), None, 2, None);
    let update = split(&made.bytes).unwrap();
    let mut target = Recorder::expecting(update);
    (target.info.version, target.info.state, target.info.image) = (2, state::TRIAL, made.manifest.image.old().0);
    let server = Server::start(target, &[]);
    let report = server.push(update, &Choice { confirm: false, ..ALL }).unwrap();
    assert_eq!(report.outcome, Outcome::There);
    assert_eq!(server.target.lock().unwrap().counts, [0; 4]);
    // A trial whose confirmation was lost is confirmed.
    let report = server.push(update, &ALL).unwrap();
    assert_eq!((report.outcome, server.target.lock().unwrap().counts), (Outcome::Confirmed, [0, 0, 1, 0]));
}

#[cfg(unix)]
#[test]
fn over_a_serial_line() {
    let payload = noise(3000, 2);
    let update = Update { manifest: &MANIFEST, payload: &payload };
    let (host, mut device) = SerialPort::pair().expect("a pair of ports");
    device.set_read_timeout(Duration::from_secs(20)).unwrap();
    let mut target = Recorder::expecting(update);
    let thread = thread::spawn(move || {
        let mut port = Stream(device);
        // Started, and started again.
        for boot in 0..2 {
            match serve(&mut port, &mut Link::<51, 4>::new(boot), &mut target) {
                Ok(Ended::Reboot) => {}
                _ => return target,
            }
        }
        target
    });
    let mut host = Some(host);
    let mut connect = || -> io::Result<Box<dyn Port>> {
        host.take().map(|port| Box::new(port) as Box<dyn Port>).ok_or(io::ErrorKind::NotFound.into())
    };
    let settings = Settings { full_duplex: false, frame: 250, ..QUICK };
    let report = run(&mut connect, update, &Choice { settings, ..ALL }, &mut |_, _| {}).unwrap();
    assert_eq!((report.outcome, report.after.version), (Outcome::Confirmed, 2));
    let target = thread.join().unwrap();
    assert_eq!((target.counts, target.stored), ([1, 1, 1, 1], payload));
}

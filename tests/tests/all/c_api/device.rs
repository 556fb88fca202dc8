//! `examples/device.c`: a device in C, with a file for its flash, that the real `gmcf push` updates over TCP.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use host_trainer::cli::{self, exit};
use host_trainer::push::port::Address;
use host_trainer::push::{self, Choice, Outcome, PushError, Report, Settings};
use tests::data::{folder, read};

use super::{program, scratch, succeed};

/// As in `examples/device.c`.
const DEVICE: &str = r#""product": 7, "profile": "small", "write_size": 4, "erase_size": 4096,
    "state": 8192, "download": 131072, "slot": 262144"#;
const STATE: usize = 8192;
const DOWNLOAD: usize = 131_072;
const SLOT: usize = 262_144;
const SCRATCH: usize = 131_072;
const ATTEMPTS: usize = 3;

const OLD: &str = "dev/fw-built-rust/v2.bin";
const NEW: &str = "dev/fw-built-rust/v3.bin";

/// How long a device may take to say something.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `gmcf`; its exit code and what it says of an error.
fn gmcf<A: AsRef<OsStr>>(args: &[A]) -> (u8, String) {
    let args = [OsStr::new("gmcf")].into_iter().chain(args.iter().map(AsRef::as_ref));
    cli::run(args).map_or_else(|error| (error.exit_code(), error.message()), |()| (exit::OK, String::new()))
}

/// A device, its folder, and what it says. Its power is cut when it is dropped.
struct Device {
    program: PathBuf,
    folder: PathBuf,
    slots: usize,
    running: Option<(Child, Receiver<String>, u16)>,
}

impl Device {
    /// A new device with [`OLD`] as version 1.
    fn new(test: &str, slots: usize) -> Self {
        let program = program("examples/device.c", test);
        let device = Self { program, folder: scratch(test), slots, running: None };
        let scratch = if slots == 1 { format!(", \"scratch\": {SCRATCH}") } else { String::new() };
        fs::write(device.path("device.json"), format!("{{{DEVICE}{scratch}}}")).unwrap();
        for key in ["fleet", "other"] {
            for kind in ["key", "pub"] {
                _ = fs::remove_file(device.path(&format!("{key}.{kind}.pem")));
            }
            let name = device.path(key);
            assert_eq!(gmcf(&[OsStr::new("key"), OsStr::new("new"), name.as_os_str()]), (exit::OK, String::new()));
        }
        let image = folder().join("data").join(OLD);
        let [flash, key] = ["flash", "fleet.pub.pem"].map(|name| device.path(name));
        let file = device.path("device.json");
        let mut args = vec![OsStr::new("flash"), flash.as_os_str(), OsStr::new("--for"), file.as_os_str()];
        args.extend([OsStr::new("--image"), image.as_os_str(), OsStr::new("--key"), key.as_os_str()]);
        assert_eq!(gmcf(&args), (exit::OK, String::new()));
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A signed update from one image to another.
    fn release(&self, old: &str, new: &str, version: u32, key: &str) -> PathBuf {
        let update = self.path(&format!("{version}.{key}.update"));
        let [old, new] = [old, new].map(|name| folder().join("data").join(name));
        let [file, key] = ["device.json".into(), format!("{key}.key.pem")].map(|name| self.path(&name));
        let version = version.to_string();
        let mut args = vec![OsStr::new("release"), new.as_os_str(), OsStr::new("--old"), old.as_os_str()];
        args.extend([OsStr::new("--for"), file.as_os_str(), OsStr::new("--version"), OsStr::new(&version)]);
        args.extend([OsStr::new("--key"), key.as_os_str(), OsStr::new("-o"), update.as_os_str()]);
        assert_eq!(gmcf(&args), (exit::OK, String::new()));
        update
    }

    /// Switches it on, and waits for its port.
    fn start(&mut self) {
        self.cut();
        let mut command = Command::new(&self.program);
        let mut child = command
            .arg(self.path("flash"))
            .arg(self.slots.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the device starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let first = lines.recv_timeout(PATIENCE).unwrap();
        let port = first.strip_prefix("port: ").and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("{first}"));
        self.running = Some((child, lines, port));
    }

    /// Cuts its power.
    fn cut(&mut self) {
        if let Some((mut child, ..)) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The next line that it says.
    fn line(&self) -> String {
        let (_, lines, _) = self.running.as_ref().unwrap();
        lines.recv_timeout(PATIENCE).unwrap()
    }

    fn says(&self, line: &str) {
        assert_eq!(self.line(), line);
    }

    fn address(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.running.as_ref().unwrap().2)
    }

    /// `gmcf push` on the command line.
    fn push(&self, update: &Path, more: &[&str]) -> (u8, String) {
        let address = self.address();
        let mut args = vec![OsStr::new("push"), update.as_os_str(), OsStr::new("--device"), OsStr::new(&address)];
        args.extend(more.iter().map(OsStr::new));
        gmcf(&args)
    }

    fn push_well(&self, update: &Path, more: &[&str]) {
        assert_eq!(self.push(update, more), (exit::OK, String::new()));
    }

    /// Sends `update` as `gmcf push` does. `progress` may cut the power: then the port is another one, and nobody comes
    /// back.
    fn send(
        &mut self,
        update: &Path,
        confirm: bool,
        mut progress: impl FnMut(&mut Self, &str, u64),
    ) -> Result<Report, PushError> {
        let file = fs::read(update).unwrap();
        let address: Address = self.address().parse().unwrap();
        let settings = Settings { silence: Duration::from_secs(2), ..Settings::default() };
        let choice = Choice { settings, reboot: true, confirm };
        let update = push::split(&file).unwrap();
        push::run(&mut || address.connect(), update, &choice, &mut |doing, bytes| {
            progress(self, doing, bytes.map_or(0, |(done, _)| done));
        })
    }

    /// The image in a slot.
    fn holds(&self, slot: usize, image: &str) {
        let start = STATE + DOWNLOAD + if self.slots == 1 { SCRATCH } else { slot * SLOT };
        let (flash, image) = (fs::read(self.path("flash")).unwrap(), read(image));
        assert!(flash[start..start + image.len()] == image, "slot {slot}");
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.cut();
    }
}

#[test]
fn update_is_pushed_booted_and_confirmed() {
    for (slots, slot) in [(2, 'B'), (1, 'A')] {
        let mut device = Device::new(&format!("device-{slots}"), slots);
        let update = device.release(OLD, NEW, 2, "fleet");
        device.start();
        device.says("boot: slot A, version 1, settled");
        device.push_well(&update, &["--confirm"]);
        if slots == 1 {
            device.says("boot: blocks are being replaced");
        }
        device.says(&format!("boot: slot {slot}, version 2, trial"));
        device.holds(1, NEW);
        device.start();
        device.says(&format!("boot: slot {slot}, version 2, settled"));
        // What is not newer is refused, and so is what no key of the device has signed.
        let stale = device.release(NEW, OLD, 1, "fleet");
        let (code, message) = device.push(&stale, &[]);
        assert_eq!(code, exit::DEVICE_REFUSED, "{message}");
        device.says("refused: error -39: not newer, found 1, needed 3");
        let forged = device.release(NEW, OLD, 3, "other");
        let (code, message) = device.push(&forged, &[]);
        assert_eq!(code, exit::DEVICE_REFUSED, "{message}");
        device.says("refused: error -36: bad signature, index 0");
        device.start();
        device.says(&format!("boot: slot {slot}, version 2, settled"));
    }
}

#[test]
fn trial_that_is_not_confirmed_rolls_back() {
    let mut device = Device::new("device-trial", 2);
    let update = device.release(OLD, NEW, 2, "fleet");
    device.start();
    device.says("boot: slot A, version 1, settled");
    device.push_well(&update, &[]);
    for _ in 0..ATTEMPTS {
        device.says("boot: slot B, version 2, trial");
        device.start();
    }
    device.says("boot: slot A, version 1, settled");
    device.holds(0, OLD);
    // It can be sent again.
    device.push_well(&update, &["--confirm"]);
    device.says("boot: slot B, version 2, trial");
    device.start();
    device.says("boot: slot B, version 2, settled");
}

#[test]
fn power_is_cut_while_an_update_comes_and_while_it_is_installed() {
    for (slots, slot) in [(2, 'B'), (1, 'A')] {
        let mut device = Device::new(&format!("device-cut-{slots}"), slots);
        let update = device.release(OLD, NEW, 2, "fleet");
        let half = fs::metadata(&update).unwrap().len() / 2;
        let first = fs::read(device.path("flash")).unwrap();
        let mut took = Duration::ZERO;
        for quarter in 0..4 {
            fs::write(device.path("flash"), &first).unwrap();
            device.start();
            device.says("boot: slot A, version 1, settled");
            // In the middle of sending.
            let sent = device.send(&update, false, |device, doing, done| {
                if doing == "store the update" && done >= half {
                    device.cut();
                }
            });
            assert!(sent.is_err() && device.running.is_none(), "{sent:?}");
            device.start();
            device.says("boot: slot A, version 1, settled");
            // It goes on where it was; then, at some moment of installing.
            let mut begun = None;
            let sent = device.send(&update, true, |device, doing, _| match (doing, &begun) {
                ("install", None) => {
                    begun = Some(Instant::now());
                    if quarter > 0 {
                        thread::sleep(took * quarter / 4);
                        device.cut();
                    }
                }
                ("install", _) => {}
                (_, Some(begun)) if took.is_zero() => took = begun.elapsed(),
                _ => {}
            });
            if quarter == 0 {
                let report = sent.unwrap();
                assert_eq!(report.outcome, Outcome::Confirmed);
                assert!(report.resumed_from > 0 && u64::from(report.resumed_from) < 2 * half, "{report:?}");
                continue;
            }
            assert!(sent.is_err() && device.running.is_none(), "{sent:?}");
            device.start();
            let mut line = device.line();
            if line == "boot: blocks are being replaced" {
                line = device.line();
            }
            let trial = format!("boot: slot {slot}, version 2, trial");
            if line == "boot: slot A, version 1, settled" {
                device.push_well(&update, &["--confirm"]);
                line = device.line();
                if line == "boot: blocks are being replaced" {
                    line = device.line();
                }
            }
            assert_eq!(line, trial);
            device.holds(1, NEW);
        }
    }
}

/// Without the link, and with all arguments wrong that can be.
#[test]
fn updater_is_driven_without_the_link() {
    for slots in [2, 1] {
        let test = format!("update-{slots}");
        let device = Device::new(&test, slots);
        let [update, other] = ["fleet", "other"].map(|key| device.release(OLD, NEW, 2, key));
        let program = program("tests/update.c", &test);
        succeed(program, |command| command.arg(device.path("flash")).arg(update).arg(other).arg(slots.to_string()));
    }
}

//! An S3-compatible server of our own: SeaweedFS, as `s3.sh` installs it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use host_trainer::files::Scratch;
use host_trainer::store::Store;

use super::run;

/// The bucket that is there from the start.
pub const BUCKET: &str = "fleet";
/// How long the server may take until it answers.
const START: Duration = Duration::from_secs(30);
/// Who may do everything.
const IDENTITIES: &str = r#"{"identities": [{"name": "test",
    "credentials": [{"accessKey": "testkey", "secretKey": "testsecret"}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}"#;

/// A running server; killed when dropped.
pub struct S3 {
    child: Child,
    port: u16,
    // Behind `child`: what it writes to goes after it.
    _folder: Scratch,
}

/// Where the program is, or why there is none.
fn program() -> &'static Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fleet/s3.sh");
        let done = Command::new(script).output().map_err(|error| error.to_string())?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).trim().to_string());
        }
        Ok(String::from_utf8_lossy(&done.stdout).trim().into())
    })
}

/// Ports that nobody listens on now.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

impl S3 {
    /// Starts a server; not from within a runtime. Where the program cannot be had, says so and returns none; with
    /// `GMCF_NO_SKIP=1` that is a failure.
    pub fn start() -> Option<Self> {
        let program = match program() {
            Ok(program) => program,
            Err(why) if std::env::var_os("GMCF_NO_SKIP").is_some_and(|value| !value.is_empty()) => panic!("{why}"),
            Err(why) => {
                println!("SKIPPED: {why}");
                return None;
            }
        };
        // Another process may take a port before the server does.
        (0..3).find_map(|_| Self::try_start(program)).or_else(|| panic!("the S3 server does not start"))
    }

    fn try_start(program: &Path) -> Option<Self> {
        let folder = Scratch::new("s3").unwrap();
        let data = folder.join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(folder.join("s3.json"), IDENTITIES).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let ports: [u16; 10] = free_ports();
        let names = [
            "s3.port",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port.grpc",
            "admin.port",
            "admin.port.grpc",
        ];
        let mut command = Command::new(program);
        command.current_dir(&data).args(["-logtostderr=true", "mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        command.args(["-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0"]);
        command.args(["-s3.port.lance=0", &format!("-bucket={BUCKET}"), &format!("-dir={}", data.display())]);
        command.arg(format!("-s3.config={}", folder.join("s3.json").display()));
        command.args(names.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut server = Self { child, port: ports[0], _folder: folder };
        server.wait_until_ready().then_some(server)
    }

    /// Whether it takes an object before the time is over, or it ends.
    fn wait_until_ready(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < START && self.child.try_wait().unwrap().is_none() {
            let answers = std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            if answers && self.takes_an_object() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn takes_an_object(&self) -> bool {
        run(async {
            let store = Store::open_with(&format!("s3://{BUCKET}/probe"), self.variables()).unwrap();
            tokio::time::timeout(START, store.put_content("probe".into())).await.is_ok_and(|done| done.is_ok())
        })
    }

    /// What has to be in the environment of whoever uses it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let variables = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "testkey"),
            ("AWS_SECRET_ACCESS_KEY", "testsecret"),
        ];
        variables.map(|(name, value)| (name.into(), value.into())).into()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

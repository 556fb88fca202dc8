//! The status page in a real browser, on a telephone's screen.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use host_trainer::files::Scratch;

use super::backend::Backend;
use super::processes::{Client, Server, token};

/// A Chromium that is driven by WebDriver (W3C, "WebDriver", 2018), through chromedriver.
struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
}

impl Browser {
    /// None where there is no browser.
    async fn start() -> Option<Self> {
        // The first one of the process counts.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut lines = BufReader::new(driver.stdout.take()?).lines();
        let port = loop {
            let line = lines.next()?.ok()?;
            if let Some(port) = line.strip_prefix("ChromeDriver was started successfully on port ") {
                break port.trim_end_matches('.').to_string();
            }
        };
        // The driver goes on writing; it must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let options = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                    "--disable-background-networking", "--disable-component-update"],
                "mobileEmulation": {"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2.0}},
            },
        }}});
        let http = reqwest::Client::new();
        let url = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, session: url.clone(), http };
        let made = browser.http.post(&url).json(&options).send().await.ok()?.json::<Value>().await.ok()?;
        browser.session = format!("{url}/{}", made["value"]["sessionId"].as_str()?);
        Some(browser)
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.session)).json(&body).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["value"].clone()
    }

    async fn open(&self, url: &str) {
        self.command("/url", json!({ "url": url })).await;
    }

    async fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    async fn run_with(&self, script: &str, argument: &str) -> Value {
        self.command("/execute/sync", json!({ "script": script, "args": [argument] })).await
    }

    /// Keeps what is to be seen: a PNG in base64.
    async fn picture(&self, path: &std::path::Path) {
        let answer = self.http.get(format!("{}/screenshot", self.session)).send().await.unwrap();
        let picture = answer.json::<Value>().await.unwrap()["value"].as_str().unwrap().to_string();
        std::fs::write(path, picture).unwrap();
    }

    /// Waits until `script` returns true.
    async fn wait(&self, script: &str) {
        let start = Instant::now();
        while self.run(script).await != json!(true) {
            if start.elapsed() >= Duration::from_secs(20) {
                let text = self.run("return document.body.innerText").await;
                panic!("never: {script}\nthe page says: {text}\nthe log says: {}", self.log().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the browser complains of.
    async fn log(&self) -> Value {
        self.command("/se/log", json!({ "type": "browser" })).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends with its driver. Either may have ended by itself.
        let _ = Command::new("pkill").args(["-P", &self.driver.id().to_string()]).status();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Says aloud that there is no browser; with `GMCF_NO_SKIP` that is a failure.
fn skip() {
    let why = "chromedriver does not start: apt-get install chromium chromium-driver";
    assert!(std::env::var_os("GMCF_NO_SKIP").is_none_or(|value| value.is_empty()), "{why}");
    eprintln!("SKIPPED: the page in a browser: {why}");
}

async fn publish(client: &Client, name: &str, version: &str, content: &str) {
    let answer = client.publish(name, version, content.as_bytes()).await.unwrap();
    assert_eq!(answer.status(), 201, "{name} {version}");
}

#[tokio::test]
async fn the_page_shows_versions_deltas_and_clients_on_a_telephone() {
    let Some(browser) = Browser::start().await else { return skip() };
    let folder = Scratch::new("page").unwrap();
    let backend = Backend::folder(&folder.join("store"));
    let server = Server::start(&backend, &[]);
    let client = Client::new(&server, &token(&backend, &[]));
    for (version, text) in [("1.0", "one"), ("1.1", "two"), ("2.0-a-long-name-of-a-version", "three")] {
        publish(&client, "gateway", version, &text.repeat(500)).await;
    }
    publish(&client, "sensor.fw", "7", "seven").await;
    for (device, from) in [("a", "1.0"), ("b", "1.0"), ("c", "1.1")] {
        let path = format!("/delta/between?name=gateway&from={from}&to=2.0-a-long-name-of-a-version");
        let answer = client.request(reqwest::Method::GET, &path).header("gmcf-client", device).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    browser.open(client.base()).await;
    browser.wait("return document.querySelectorAll('#names tbody tr').length === 2").await;
    let cards = browser.run("return document.getElementById('totals').innerText").await;
    assert!(cards.as_str().unwrap().contains("clients seen"), "{cards}");
    // As a thumb does it.
    browser.run("document.querySelector('button.name').click()").await;
    browser.wait("return document.querySelectorAll('svg .arc').length === 2").await;
    browser.wait("return document.querySelectorAll('#versions tbody tr').length === 3").await;
    let clients = browser.run("return document.querySelector('svg').textContent").await;
    assert!(clients.as_str().unwrap().contains("2 clients"), "{clients}");
    // Nothing is wider than the screen but what scrolls by itself, and what is touched is large enough for it.
    let wide = browser.run("return document.documentElement.scrollWidth > window.innerWidth").await;
    assert_eq!(wide, json!(false));
    let heights = "[...document.querySelectorAll('button.name')].map((button) => button.offsetHeight)";
    let low = browser.run(&format!("return Math.min(...{heights})")).await;
    assert!(low.as_f64().unwrap() >= 44.0, "{low}");
    assert_eq!(browser.log().await, json!([]));
    if let Some(path) = std::env::var_os("GMCF_SCREENSHOT") {
        browser.picture(path.as_ref()).await;
    }
}

#[tokio::test]
async fn a_private_server_asks_for_a_token_first() {
    let Some(browser) = Browser::start().await else { return skip() };
    let folder = Scratch::new("page").unwrap();
    let backend = Backend::folder(&folder.join("store"));
    let server = Server::start(&backend, &["--private"]);
    let client = Client::new(&server, &token(&backend, &[]));
    publish(&client, "gateway", "1", "one").await;
    browser.open(client.base()).await;
    browser.wait("return !document.getElementById('token').hidden").await;
    assert_eq!(browser.run("return document.querySelectorAll('#names tbody tr').length").await, json!(0));
    let enter = "document.querySelector('input').value = arguments[0]; document.querySelector('form button').click()";
    browser.run_with(enter, client.token()).await;
    browser.wait("return document.querySelectorAll('#names tbody tr').length === 1").await;
}

//! `gmcf serve`.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::CliError;
use super::key::{public, secret};
use super::output::print;
use super::serve_args::{LogArg, ServeArgs};
use crate::server::{ServeError, Server, Settings};
use crate::store::Store;

pub(super) fn run(args: &ServeArgs) -> Result<(), CliError> {
    let settings = settings(args)?;
    log(args.log);
    runtime()?.block_on(async {
        let store = Store::open(&args.store).map_err(CliError::store)?;
        let server = Server::bind(store, settings, &args.listen).await.map_err(failed)?;
        let stop = signals().map_err(CliError::io("watch for", Path::new("SIGTERM")))?;
        let address = server.local_addr().map_err(CliError::io("listen on", Path::new(&args.listen)))?;
        let scheme = if server.is_secure() { "https" } else { "http" };
        print(&format!("{scheme}://{address}\n"))?;
        tracing::info!(%address, store = args.store, "listening");
        server.run(stop).await.map_err(CliError::io("listen on", Path::new(&args.listen)))?;
        tracing::info!("stopped");
        Ok(())
    })
}

fn settings(args: &ServeArgs) -> Result<Settings, CliError> {
    let key = args.key.as_deref().map(secret).transpose()?;
    let ready = Settings::default();
    Ok(Settings {
        private: args.private,
        key: key.map(|key| (key, args.key_slot)),
        trust: args.trust.as_deref().map(public).transpose()?,
        tls: args.tls_cert.clone().zip(args.tls_key.clone()),
        max_body: args.max_body,
        max_job: args.max_job,
        timeout: Duration::from_secs(args.timeout.into()),
        total: Duration::from_secs(args.total_timeout.into()),
        max_concurrent: args.max_concurrent as usize,
        jobs: args.jobs.map_or(ready.jobs, usize::from),
        cache_bytes: args.cache_bytes,
        store_deltas: args.store_deltas,
        refresh: Duration::from_millis(args.refresh.into()),
    })
}

/// What the asynchronous commands run on.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let failed = |error| CliError::Internal { what: format!("cannot start threads: {error}") };
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)
}

fn log(form: LogArg) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Only the first log of a process counts; a second one is that of a test.
    let _ = match form {
        LogArg::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogArg::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// Done when the process is asked to end.
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(async move {
            tokio::select! {
                _ = end.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // If there is no such signal, the process is ended in another way.
        let _ = tokio::signal::ctrl_c().await;
    })
}

fn failed(error: ServeError) -> CliError {
    match error {
        ServeError::Listen { address, source } => CliError::Io { action: "listen on", path: address.into(), source },
        ServeError::Tls { path, what } => {
            CliError::Input { path, what, hint: "give a certificate and its key, both as PEM".into() }
        }
        ServeError::Spool(source) => CliError::Io { action: "write", path: std::env::temp_dir(), source },
        ServeError::Store(source) => CliError::store(source),
        ServeError::OtherKey => CliError::Usage {
            what: error.to_string(),
            hint: "give the public half of --key as --trust, or leave one of the two out".into(),
        },
    }
}

//! What can be said on the command line about the server: `serve`, `token`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::history::Name;
use crate::store::Right;

/// Serve versions of files and folders, and the deltas between them, over HTTP.
///
/// The store has all that the server knows: any number of servers can share one, behind any balancer. Whoever publishes
/// needs a token; reading is open unless --private is given. The address that it listens on is printed when it does.
/// GET / shows what there is, GET /openapi.json describes the interface.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  A server that signs what is published, and a token for whoever publishes:
    gmcf key new fleet
    gmcf token new --store fleet --label ci
    gmcf serve --store fleet --listen 0.0.0.0:8080 --key fleet.key.pem
  Publish a version, see what there is, and ask for a delta:
    curl -T fw-1.1.bin -H \"Authorization: Bearer $GMCF_TOKEN\" http://localhost:8080/names/fw/versions/1.1
    curl http://localhost:8080/names
    curl -o up.gmcf 'http://localhost:8080/delta/between?name=fw&from=1.0&to=1.1'
  With TLS, for readers with tokens only, in an object store:
    gmcf serve --store s3://bucket/fleet --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --private

Region, endpoint and credentials of S3 come from AWS_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY; AWS_ALLOW_HTTP=true allows an endpoint without TLS.

What is published waits in the system's temporary folder (TMPDIR) until all of it is there. The log goes to standard
error; RUST_LOG chooses what is in it: warn, info (the default), debug (every request).
SIGTERM ends the server when the requests that have begun are answered, or after 30 seconds.")]
pub(crate) struct ServeArgs {
    /// Where everything is kept: a folder, or s3://BUCKET[/PREFIX]
    #[arg(long, value_name = "STORE")]
    pub(crate) store: String,
    /// Address to listen on, HOST:PORT; port 0 takes one that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Readers need a token, too
    #[arg(long)]
    pub(crate) private: bool,
    /// Secret key that signs what comes unsigned, and updates for devices
    #[arg(long, value_name = "KEY.pem")]
    pub(crate) key: Option<PathBuf>,
    /// Slot in which devices hold its public half
    #[arg(long, value_name = "SLOT", default_value_t = 0, requires = "key",
          value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) key_slot: u8,
    /// Publish only what this key has signed [default: the public half of --key, if that is given]
    #[arg(long, value_name = "PUB.pem")]
    pub(crate) trust: Option<PathBuf>,
    /// Certificates for TLS, PEM
    #[arg(long, value_name = "CERT.pem", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Their key, PEM
    #[arg(long, value_name = "KEY.pem", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Longest content that can be published, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_body: u64,
    /// Longest content that deltas are made of, bytes; it is in memory then
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20,
          value_parser = clap::value_parser!(u64).range(1..=i32::MAX as u64))]
    pub(crate) max_job: u64,
    /// Seconds that a client may say nothing: before the head of a request is complete, and within its body
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) timeout: u32,
    /// Seconds that a request may take until its answer begins
    #[arg(long, value_name = "S", default_value_t = 1800, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) total_timeout: u32,
    /// Requests worked on at the same time; more are told to come again
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_concurrent: u32,
    /// Threads that make deltas [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Memory for deltas that were asked for last, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    pub(crate) cache_bytes: u64,
    /// Room for deltas in the store, bytes; those that were not asked for the longest go first
    #[arg(long, value_name = "BYTES", default_value_t = 10 << 30)]
    pub(crate) store_deltas: u64,
    /// Milliseconds after which the store is asked for versions that other servers have published
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=3_600_000))]
    pub(crate) refresh: u32,
    /// How the log is written
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log: LogArg,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogArg {
    /// Lines for people
    Text,
    /// An object in JSON on each line
    Json,
}

/// Make or revoke tokens for those who publish to a server or read from it.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) what: TokenCommand,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print it; the store keeps its digest only
    New(NewTokenArgs),
    /// Make a token worthless
    Revoke(RevokeArgs),
}

/// Make a token, and print it.
///
/// It is printed once, and kept nowhere: the store has its digest. `gmcf` reads it from GMCF_TOKEN; others send it as
/// `Authorization: Bearer TOKEN`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  For a build that publishes one firmware, for a year:
    export GMCF_TOKEN=$(gmcf token new --store fleet --label ci --name gateway-fw --days 365)
  For devices of a server that was started with --private:
    gmcf token new --store fleet --label devices --right read")]
pub(crate) struct NewTokenArgs {
    /// Store of the server: a folder, or s3://BUCKET[/PREFIX]
    #[arg(long, value_name = "STORE")]
    pub(crate) store: String,
    /// Whom or what it is for, to find it again
    #[arg(long, default_value = "")]
    pub(crate) label: String,
    /// What its bearer may do
    #[arg(long, value_enum, default_value = "publish")]
    pub(crate) right: RightArg,
    /// With which names; with all, if none is given
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<Name>,
    /// Days until it is worthless; never, if none are given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) days: Option<u32>,
}

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RightArg {
    /// Publish versions, and read
    Publish,
    /// Read, where reading needs a token
    Read,
}

impl From<RightArg> for Right {
    fn from(from: RightArg) -> Self {
        match from {
            RightArg::Publish => Self::Publish,
            RightArg::Read => Self::Read,
        }
    }
}

/// Make a token worthless. Servers that have seen it may take it for another five seconds.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  echo $GMCF_TOKEN | gmcf token revoke --store fleet")]
pub(crate) struct RevokeArgs {
    /// Store of the server: a folder, or s3://BUCKET[/PREFIX]
    #[arg(long, value_name = "STORE")]
    pub(crate) store: String,
    /// The token; without it, or with `-`, it is read from standard input, where no list of processes shows it
    pub(crate) token: Option<String>,
}

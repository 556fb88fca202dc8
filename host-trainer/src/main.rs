//! `gmcf`: see `gmcf --help`.

use std::process::ExitCode;

use host_trainer::cli;

fn main() -> ExitCode {
    match cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::from(cli::exit::OK),
        Err(error) => {
            error.print();
            ExitCode::from(error.exit_code())
        }
    }
}

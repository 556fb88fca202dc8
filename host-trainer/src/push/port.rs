//! Streams to a device: TCP and serial.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serial2::SerialPort;

/// A stream of bytes to a device.
pub trait Port {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// The stream is lost.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Receives at least one byte, unless none comes in `wait`: then it is 0 bytes.
    ///
    /// # Errors
    /// The stream is lost, or has ended.
    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize>;
}

/// Shortest wait that systems know; 0 would be for ever.
const LEAST_WAIT: Duration = Duration::from_millis(1);
/// Longest wait for a connection, and for room to send.
const STALLED: Duration = Duration::from_secs(10);

/// A timeout is no error, an end is one.
fn received(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if is_timeout(&error) => Ok(0),
        other => other,
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl Port for TcpStream {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(wait.max(LEAST_WAIT)))?;
        received(self.read(buffer))
    }
}

impl Port for SerialPort {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        SerialPort::write_all(self, bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.set_read_timeout(wait.max(LEAST_WAIT))?;
        received(SerialPort::read(self, buffer))
    }
}

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `tcp://HOST:PORT`
    Tcp(String),
    /// `serial:PATH[@BAUD]`
    Serial {
        /// Path, or name on Windows.
        path: PathBuf,
        /// Bits a second.
        baud: u32,
    },
}

/// Bits a second where none are given.
const BAUD: u32 = 115_200;

impl Address {
    /// Whether both ends can speak at once. Behind a serial port there may be a radio.
    #[must_use]
    pub fn is_full_duplex(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Connects.
    ///
    /// # Errors
    /// The system's reason.
    pub fn connect(&self) -> io::Result<Box<dyn Port>> {
        match self {
            Self::Tcp(address) => {
                let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, STALLED) {
                        Ok(stream) => {
                            // Frames are small, and each that asks waits for its answer.
                            stream.set_nodelay(true)?;
                            stream.set_write_timeout(Some(STALLED))?;
                            return Ok(Box::new(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Self::Serial { path, baud } => {
                let mut port = SerialPort::open(path, *baud)?;
                port.set_write_timeout(STALLED)?;
                Ok(Box::new(port))
            }
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither tcp://HOST:PORT nor serial:PATH[@BAUD]");
        if let Some(address) = text.strip_prefix("tcp://") {
            let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
            port.parse::<u16>().map_err(|_| format!("`{port}` is no port: 0 to 65535"))?;
            return if host.is_empty() { Err(wrong()) } else { Ok(Self::Tcp(address.into())) };
        }
        let place = text.strip_prefix("serial:").ok_or_else(wrong)?;
        let (path, baud) = match place.rsplit_once('@') {
            None => (place, BAUD),
            Some((path, baud)) => {
                let number = baud.parse().ok().filter(|&baud| baud > 0);
                (path, number.ok_or_else(|| format!("`{baud}` is no baud rate: 1 or more bits a second"))?)
            }
        };
        if path.is_empty() { Err(wrong()) } else { Ok(Self::Serial { path: path.into(), baud }) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Serial { path, baud } => write!(f, "serial:{}@{baud}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse_and_print() {
        for text in ["tcp://localhost:4000", "tcp://[::1]:1", "serial:/dev/ttyUSB0@9600", "serial:COM3@115200"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let bare: Address = "serial:/dev/ttyACM0".parse().unwrap();
        assert_eq!(bare, Address::Serial { path: "/dev/ttyACM0".into(), baud: BAUD });
        for text in ["", "tcp://", "tcp://host", "tcp://:1", "tcp://host:x", "serial:", "serial:@1", "serial:x@0", "x"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}

//! Key files: Ed25519 in PEM (RFC 8410), as OpenSSL reads and writes them.

use std::fmt;

use ed25519_compact::{KeyPair, Noise, PublicKey, Seed, Signature};
use update_core::keys::{KEY_LEN, Rotation, SIGNATURE_LEN};

/// A key that signs.
#[derive(Clone)]
pub struct SecretKey(KeyPair);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// A new key, from the system's randomness.
    pub fn generate() -> Self {
        Self(KeyPair::generate())
    }

    /// The key of a seed: tests need the same one every time.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(KeyPair::from_seed(Seed::new(seed)))
    }

    /// Reads a PEM file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        KeyPair::from_pem(pem).map(Self).map_err(|error| format!("no Ed25519 secret key in PEM: {error}"))
    }

    /// The secret half as PEM.
    pub fn to_pem(&self) -> String {
        self.0.to_pem()
    }

    /// The public half.
    pub fn public(&self) -> [u8; KEY_LEN] {
        *self.0.pk
    }

    /// The public half as PEM.
    pub fn public_pem(&self) -> String {
        self.0.pk.to_pem()
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        *self.0.sk.sign(message, None::<Noise>)
    }

    /// A statement that puts `key` into `slot`; this key must be the one in the other slot.
    pub fn rotate(&self, product: u32, sequence: u32, slot: u8, key: [u8; KEY_LEN]) -> Rotation {
        let mut rotation = Rotation { slot, product, sequence, key, signature: [0; SIGNATURE_LEN] };
        rotation.signature = self.sign(&rotation.message());
        rotation
    }
}

/// Reads a public key from a PEM file; the secret key's file will do, too.
///
/// # Errors
/// What is wrong with it, in words.
pub fn public_from_pem(pem: &str) -> Result<[u8; KEY_LEN], String> {
    if let Ok(key) = PublicKey::from_pem(pem) {
        return Ok(*key);
    }
    SecretKey::from_pem(pem).map(|key| key.public()).map_err(|_| "no Ed25519 key in PEM".to_string())
}

/// Whether `signature` over `message` was made with the secret half of `key`.
pub fn verify(key: &[u8; KEY_LEN], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    PublicKey::new(*key).verify(message, &Signature::new(*signature)).is_ok()
}

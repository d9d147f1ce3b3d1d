//! SCRAM-SHA-256 verifiers: what PostgreSQL stores instead of a password (RFC 5803), so that a
//! password never has to be sent in a statement, and can be compared with what is stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// PostgreSQL's own default.
const ITERATIONS: u32 = 4096;

/// The verifier of a password with this salt, as `pg_authid.rolpassword` holds it.
#[must_use]
pub fn verifier(password: &SecretString, salt: &[u8]) -> SecretString {
    derive(password, salt, ITERATIONS).into()
}

/// The same, of as many rounds as asked for: PostgreSQL takes verifiers of any.
#[must_use]
pub fn verifier_of_rounds(password: &SecretString, salt: &[u8], rounds: u32) -> SecretString {
    derive(password, salt, rounds).into()
}

/// Whether a stored verifier is that of this password. What isn't SCRAM-SHA-256 never fits, so
/// that an older method is replaced.
#[must_use]
pub fn fits(password: &SecretString, stored: &str) -> bool {
    let Some((iterations, salt)) = parse(stored) else {
        return false;
    };
    derive(password, &salt, iterations) == stored
}

fn parse(stored: &str) -> Option<(u32, Vec<u8>)> {
    let rest = stored.strip_prefix("SCRAM-SHA-256$")?;
    let (head, _keys) = rest.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    // A hostile count must not keep a hook busy for minutes.
    let iterations = iterations
        .parse()
        .ok()
        .filter(|n| (1..=1_000_000).contains(n))?;
    Some((iterations, STANDARD.decode(salt).ok()?))
}

fn derive(password: &SecretString, salt: &[u8], iterations: u32) -> String {
    let password = password.expose_secret();
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    let salted = salted_password(prepared.as_bytes(), salt, iterations);
    let client_key = hmac(&salted, &[b"Client Key"]);
    let stored_key: [u8; 32] = Sha256::digest(client_key).into();
    let server_key = hmac(&salted, &[b"Server Key"]);
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

/// PBKDF2 with one block, which is `Hi` of RFC 5802.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    // Keyed once: that is half of the work of each round.
    let keyed = keyed(password);
    let keyed = keyed.as_ref();
    let mut block = authenticate(keyed, &[salt, &1_u32.to_be_bytes()]);
    let mut result = block;
    for _ in 1..iterations {
        block = authenticate(keyed, &[&block]);
        for (sum, byte) in result.iter_mut().zip(block) {
            *sum ^= byte;
        }
    }
    result
}

/// None never is: HMAC takes a key of any length.
fn keyed(key: &[u8]) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(key).ok()
}

/// What it gives without a key would fit nothing.
fn authenticate(keyed: Option<&Hmac<Sha256>>, parts: &[&[u8]]) -> [u8; 32] {
    let Some(mut mac) = keyed.cloned() else {
        return [0; 32];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    authenticate(keyed(key).as_ref(), parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677: password `pencil`, with its salt and 4096 iterations.
    #[test]
    fn the_keys_are_those_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let text = derive(&"pencil".to_owned().into(), &salt, 4096);
        assert_eq!(
            text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_verifier_fits_its_password_alone() {
        let stored = verifier(&"right".to_owned().into(), &[7; 16]);
        assert!(fits(&"right".to_owned().into(), stored.expose_secret()));
        assert!(!fits(&"wrong".to_owned().into(), stored.expose_secret()));
        assert!(!fits(&"right".to_owned().into(), "md5abcdef"));
        assert!(!fits(&"right".to_owned().into(), "SCRAM-SHA-256$x:y$z"));
    }
}

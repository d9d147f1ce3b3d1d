//! Private keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};

use crate::TlsError;

/// Longest text that is looked at: a key of 16384 bits is shorter.
const LONGEST: usize = 32 << 10;

/// A private key; printing it shows nothing of it.
pub struct PrivateKey {
    pair: KeyPair,
    pem: SecretString,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// A new one, ECDSA on the curve P-256.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, TlsError> {
        let pair = KeyPair::generate()?;
        let pem = pair.serialize_pem().trim_end().to_owned().into();
        Ok(Self { pair, pem })
    }

    /// From PEM (PKCS#8, PKCS#1 or SEC1), or base64 of it.
    ///
    /// # Errors
    /// [`TlsError::Key`] says what is wrong, without showing the key.
    pub fn parse(text: &SecretString) -> Result<Self, TlsError> {
        let text = text.expose_secret().trim();
        if text.len() > LONGEST {
            return Err(TlsError::Key("it is too long".into()));
        }
        let decoded: SecretString;
        let pem = if text.contains("-----BEGIN") {
            text
        } else {
            let joined: String = text.split_whitespace().collect();
            let bytes = STANDARD.decode(joined);
            let bytes = bytes.map_err(|_| TlsError::Key("neither PEM nor base64 of it".into()))?;
            let text = String::from_utf8(bytes);
            decoded = text
                .map_err(|_| TlsError::Key("the base64 does not hold PEM".into()))?
                .into();
            decoded.expose_secret()
        };
        if pem.contains("ENCRYPTED") {
            return Err(TlsError::Key("it is protected by a passphrase".into()));
        }
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| TlsError::Key("no private key in PEM".into()))?;
        let der = pkcs8(&der)?;
        let pair = KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).map_err(|_| {
            TlsError::Key("it must be RSA (2048 bits or more), P-256 or P-384".into())
        })?;
        let pem = pair.serialize_pem().trim_end().to_owned().into();
        Ok(Self { pair, pem })
    }

    /// PKCS#8 as PEM.
    #[must_use]
    pub fn pem(&self) -> &SecretString {
        &self.pem
    }

    /// The public half, as a certificate's `SubjectPublicKeyInfo` has it.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        rcgen::PublicKeyData::subject_public_key_info(&self.pair)
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }
}

/// Object identifiers, encoded, with their tags.
const RSA: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
];
const EC: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
const NULL: &[u8] = &[0x05, 0x00];

/// The key as PKCS#8, which is the one form that the crypto library takes: the older forms are
/// wrapped in a `PrivateKeyInfo`.
fn pkcs8(key: &PrivateKeyDer<'_>) -> Result<Vec<u8>, TlsError> {
    let info = |algorithm: &[&[u8]], inner: &[u8]| {
        let version = [0x02, 0x01, 0x00];
        let algorithm = tagged(0x30, &algorithm.concat());
        tagged(
            0x30,
            &[&version, algorithm.as_slice(), &tagged(0x04, inner)].concat(),
        )
    };
    match key {
        PrivateKeyDer::Pkcs8(der) => Ok(der.secret_pkcs8_der().to_vec()),
        PrivateKeyDer::Pkcs1(der) => Ok(info(&[RSA, NULL], der.secret_pkcs1_der())),
        PrivateKeyDer::Sec1(der) => {
            let der = der.secret_sec1_der();
            let on = |curve: &[u8]| der.windows(curve.len()).any(|window| window == curve);
            let curve = [P256, P384].into_iter().find(|curve| on(curve));
            let curve = curve.ok_or_else(|| {
                TlsError::Key("its curve is neither P-256 nor P-384, or not named".into())
            })?;
            Ok(info(&[EC, curve], der))
        }
        _ => Err(TlsError::Key("it is of an unknown form".into())),
    }
}

/// DER: tag, length, content.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match significant.as_slice() {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // A length has at most eight bytes.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

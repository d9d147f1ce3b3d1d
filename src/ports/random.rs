//! Randomness from the operating system.

use rand::RngExt;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::SecretString;

use super::Random;

/// Length of a generated password; 62 characters to choose from give 190 bits.
const PASSWORD_LENGTH: usize = 32;

/// The thread's generator, seeded by the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn password(&self) -> SecretString {
        Alphanumeric
            .sample_string(&mut rand::rng(), PASSWORD_LENGTH)
            .into()
    }

    fn salt(&self) -> [u8; 16] {
        rand::rng().random()
    }
}

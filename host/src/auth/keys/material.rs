//! From the content of a key source to keys, each bound to what it may verify.
//!
//! What a source holds is told apart by its content: PEM starts with `-----BEGIN`, a JWKS or a single
//! JWK is a JSON object, anything else is a shared secret. Private halves of keys are not used.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

use super::{MAX_KEYS, VerificationKey};

/// RFC 7518, section 3.2, asks for as many bits as the hash has; the smallest hash has 256.
const MIN_SECRET_BYTES: usize = 32;

/// RFC 7518, section 3.3; more than the upper bound is too slow to verify for each handshake.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What a curve's object identifier looks like in DER (RFC 5480, section 2.1.1.1).
const CURVES: [&[u8]; 2] =
    [&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]];

/// Whether whoever can write the source may also introduce shared secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Files and variables of this machine.
    Local,
    /// A URL: public keys only, since what is published is no secret.
    Remote,
}

/// Keys, and why others in the same JWKS were left out.
#[derive(Debug)]
pub(super) struct Material {
    /// Never empty.
    pub keys: Vec<VerificationKey>,
    pub skipped: Vec<String>,
}

/// Reads a whole source; the error says what is wrong with it.
pub(super) fn read(content: &[u8], origin: &str, trust: Trust) -> Result<Material, String> {
    let text = std::str::from_utf8(content).map(str::trim_start).ok();
    let material = match (text, trust) {
        (Some(text), _) if text.starts_with('{') => jwks(text, origin, trust)?,
        (_, Trust::Remote) => return Err("the answer is not a JWKS".to_owned()),
        (Some(text), _) if text.starts_with("-----BEGIN ") => Material { keys: pem(text, origin)?, skipped: vec![] },
        _ => Material { keys: vec![secret(content, origin)?], skipped: vec![] },
    };
    match material.keys.len() {
        0 => Err(format!("it has no key that can be used ({})", material.skipped.join("; "))),
        1..=MAX_KEYS => Ok(material),
        count => Err(format!("it has {count} keys, and {MAX_KEYS} are allowed")),
    }
}

/// A secret that was made to be one, and is taken as it is.
pub(super) fn generated(bytes: &[u8], origin: &str) -> Result<Material, String> {
    let key = bound(DecodingKey::from_secret(bytes), None, None, origin)?;
    Ok(Material { keys: vec![key], skipped: Vec::new() })
}

/// A secret as text ends before the line break that editors and `echo` add.
fn secret(content: &[u8], origin: &str) -> Result<VerificationKey, String> {
    let is_text = std::str::from_utf8(content).is_ok();
    let end = content.iter().rposition(|byte| !(is_text && b"\r\n".contains(byte))).map_or(0, |last| last + 1);
    bound(DecodingKey::from_secret(&content[..end]), None, None, origin)
}

/// One key for each block, so that a file can hold the old key and the new one.
fn pem(text: &str, origin: &str) -> Result<Vec<VerificationKey>, String> {
    // In a variable, line breaks are often written as `\n`.
    let text = text.replace("\\n", "\n");
    let mut keys = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("-----BEGIN ") {
        let block = &rest[start..];
        let (label, body) = block["-----BEGIN ".len()..].split_once("-----").ok_or("a PEM block has no label")?;
        let end = format!("-----END {label}-----");
        let length = body.find(&end).ok_or_else(|| format!("the PEM block {label:?} has no end"))?;
        let whole = block.len() - body.len() + length + end.len();
        keys.push(pem_block(label, &block[..whole], &body[..length], origin)?);
        rest = &block[whole..];
    }
    Ok(keys)
}

fn pem_block(label: &str, block: &str, body: &str, origin: &str) -> Result<VerificationKey, String> {
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        label if label.ends_with("PRIVATE KEY") => {
            return Err("it holds a private key; give the public one (`openssl pkey -pubout`)".to_owned());
        }
        "CERTIFICATE" => {
            return Err("it holds a certificate; give its public key (`openssl x509 -noout -pubkey`)".to_owned());
        }
        _ => return Err(format!("the PEM block {label:?} is not a public key")),
    }
    let bytes = block.as_bytes();
    let key = DecodingKey::from_rsa_pem(bytes)
        .or_else(|_| DecodingKey::from_ec_pem(bytes))
        .or_else(|_| DecodingKey::from_ed_pem(bytes))
        .map_err(|_| "the PEM block is not an RSA, EC or Ed25519 public key".to_owned())?;
    if key.family() == AlgorithmFamily::Ec {
        // secp256k1 has points of the same length as P-256, so the length alone does not tell.
        let body: String = body.split_ascii_whitespace().collect();
        let der = BASE64_STANDARD.decode(body).map_err(|_| "the PEM block is not base64".to_owned())?;
        if !CURVES.iter().any(|curve| der.windows(curve.len()).any(|window| window == *curve)) {
            return Err("the curve of the key is neither P-256 nor P-384".to_owned());
        }
    }
    bound(key, None, None, origin)
}

/// A JWK Set (RFC 7517, section 5) or a single JWK. What is not understood is left out, as the RFC asks.
fn jwks(text: &str, origin: &str, trust: Trust) -> Result<Material, String> {
    let mut document: Value = serde_json::from_str(text).map_err(|fault| format!("it is not JSON: {fault}"))?;
    let entries = match document.get_mut("keys").map(Value::take) {
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err("`keys` is not an array".to_owned()),
        None if document.get("kty").is_some() => vec![document],
        None => return Err("it is a JSON object without `keys`".to_owned()),
    };
    let mut material = Material { keys: Vec::new(), skipped: Vec::new() };
    for (index, entry) in entries.into_iter().enumerate() {
        match jwk(entry, origin, trust) {
            Ok(key) => material.keys.push(key),
            Err(reason) => material.skipped.push(format!("key {index}: {reason}")),
        }
    }
    Ok(material)
}

fn jwk(entry: Value, origin: &str, trust: Trust) -> Result<VerificationKey, String> {
    // The type has no fields for private parts: they are dropped here.
    let jwk: Jwk = serde_json::from_value(entry).map_err(|_| "it is not a JWK".to_owned())?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return Err("its `use` is not `sig`".to_owned());
    }
    // A key pair whose private half is in the file, too, may only list `sign`.
    let verifies = |operation: &KeyOperations| matches!(operation, KeyOperations::Verify | KeyOperations::Sign);
    if jwk.common.key_operations.as_ref().is_some_and(|operations| !operations.iter().any(verifies)) {
        return Err("its `key_ops` have no `verify`".to_owned());
    }
    match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) if trust == Trust::Remote => {
            return Err("a shared secret is not taken from a URL".to_owned());
        }
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve != EllipticCurve::Ed25519 => {
            return Err("its curve is not Ed25519".to_owned());
        }
        AlgorithmParameters::Other(_) => return Err("its type or curve is not supported".to_owned()),
        _ => {}
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "its parameters are not base64url".to_owned())?;
    bound(key, jwk.common.key_id, jwk.common.key_algorithm, origin)
}

/// The one place where a key gets its algorithms: those of its family, its size and its own `alg`.
fn bound(
    decoding: DecodingKey,
    id: Option<String>,
    only: Option<KeyAlgorithm>,
    origin: &str,
) -> Result<VerificationKey, String> {
    let mut algorithms = match decoding.family() {
        AlgorithmFamily::Ec => vec![of_curve(&decoding)?],
        family => {
            check_size(&decoding)?;
            family.algorithms().to_vec()
        }
    };
    if let Some(only) = only {
        algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
    }
    if algorithms.is_empty() {
        return Err("its `alg` does not fit its type, or is not for signatures".to_owned());
    }
    let label = Arc::from(id.as_deref().unwrap_or(origin));
    Ok(VerificationKey { id, label, algorithms, decoding })
}

fn of_curve(key: &DecodingKey) -> Result<Algorithm, String> {
    match key.try_get_as_bytes() {
        Ok(point) if point.len() == 65 && point[0] == 4 => Ok(Algorithm::ES256),
        Ok(point) if point.len() == 97 && point[0] == 4 => Ok(Algorithm::ES384),
        _ => Err("the EC key is not an uncompressed point on P-256 or P-384".to_owned()),
    }
}

fn check_size(key: &DecodingKey) -> Result<(), String> {
    let length = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    match key.family() {
        AlgorithmFamily::Hmac if length < MIN_SECRET_BYTES => Err(format!(
            "the secret has {length} bytes, and HS256 needs at least {MIN_SECRET_BYTES} (RFC 7518, section 3.2)"
        )),
        AlgorithmFamily::Ed if length != 32 => Err("the Ed25519 key does not have 32 bytes".to_owned()),
        AlgorithmFamily::Rsa => match rsa_bits(key) {
            Some(bits) if RSA_BITS.contains(&bits) => Ok(()),
            Some(bits) => {
                Err(format!("the RSA key has {bits} bits, and {} to {} are allowed", RSA_BITS.start(), RSA_BITS.end()))
            }
            None => Err("the RSA key cannot be read".to_owned()),
        },
        _ => Ok(()),
    }
}

fn rsa_bits(key: &DecodingKey) -> Option<usize> {
    let AlgorithmParameters::RSA(parameters) = Jwk::from_decoding_key(key, None).ok()?.algorithm else { return None };
    let modulus = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(parameters.n).ok()?;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - usize::try_from(modulus[first].leading_zeros()).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RSA: &str = include_str!("../test_keys/rsa.public.pem");
    const P256: &str = include_str!("../test_keys/p256.public.pem");
    const ED25519: &str = include_str!("../test_keys/ed25519.public.pem");

    fn algorithms(content: &[u8]) -> Vec<Vec<Algorithm>> {
        read(content, "test", Trust::Local).unwrap().keys.into_iter().map(|key| key.algorithms).collect()
    }

    fn problem(content: &[u8]) -> String {
        read(content, "test", Trust::Local).unwrap_err()
    }

    pub(crate) fn jwk_of(pem: &str, extra: Value) -> Value {
        let key = pem_block("PUBLIC KEY", pem, pem_body(pem), "test").unwrap().decoding;
        let mut jwk = serde_json::to_value(Jwk::from_decoding_key(&key, None).unwrap()).unwrap();
        for (name, value) in extra.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    }

    fn pem_body(pem: &str) -> &str {
        pem.split("-----").nth(2).unwrap()
    }

    #[test]
    fn each_kind_of_content_is_told_apart_and_bound_to_its_family() {
        let rsa = AlgorithmFamily::Rsa.algorithms().to_vec();
        let hmac = AlgorithmFamily::Hmac.algorithms().to_vec();
        let pkcs1 = include_str!("../test_keys/rsa.pkcs1.public.pem");
        let p384 = include_str!("../test_keys/p384.public.pem");
        for (content, expected) in [
            (RSA.to_owned(), vec![rsa.clone()]),
            (pkcs1.to_owned(), vec![rsa.clone()]),
            (P256.to_owned(), vec![vec![Algorithm::ES256]]),
            (p384.to_owned(), vec![vec![Algorithm::ES384]]),
            (ED25519.to_owned(), vec![vec![Algorithm::EdDSA]]),
            (format!("\n{RSA}# the next one\n{P256}"), vec![rsa.clone(), vec![Algorithm::ES256]]),
            (RSA.replace('\n', "\\n"), vec![rsa.clone()]),
            ("s".repeat(32), vec![hmac.clone()]),
            (json!({"keys": [jwk_of(RSA, json!({}))]}).to_string(), vec![rsa]),
            (jwk_of(RSA, json!({"alg": "PS384"})).to_string(), vec![vec![Algorithm::PS384]]),
            (jwk_of(P256, json!({"use": "sig"})).to_string(), vec![vec![Algorithm::ES256]]),
            (jwk_of(ED25519, json!({"key_ops": ["verify"]})).to_string(), vec![vec![Algorithm::EdDSA]]),
            (json!({"kty": "oct", "k": "A".repeat(43)}).to_string(), vec![hmac]),
        ] {
            assert_eq!(algorithms(content.as_bytes()), expected, "{content}");
        }
    }

    #[test]
    fn a_text_secret_ends_before_its_line_break_and_a_binary_one_does_not() {
        let key = |content: &[u8]| secret(content, "test").unwrap().decoding.try_get_as_bytes().unwrap().to_vec();
        assert_eq!(key(format!("{}\r\n", "s".repeat(40)).as_bytes()), "s".repeat(40).as_bytes());
        let binary = [&[0xff; 40][..], b"\n"].concat();
        assert_eq!(key(&binary), binary);
    }

    #[test]
    fn unfit_content_is_refused_with_the_reason() {
        for (content, reason) in [
            ("short\n", "has 5 bytes"),
            ("", "has 0 bytes"),
            ("{", "not JSON"),
            ("{}", "without `keys`"),
            (r#"{"keys":{}}"#, "not an array"),
            (r#"{"keys":[]}"#, "no key that can be used"),
            (include_str!("../test_keys/rsa.private.pem"), "private key"),
            (include_str!("../test_keys/rsa-1024.public.pem"), "1024 bits"),
            (include_str!("../test_keys/p521.public.pem"), "neither P-256 nor P-384"),
            (include_str!("../test_keys/k256.public.pem"), "neither P-256 nor P-384"),
            ("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----", "openssl x509"),
            ("-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----", "not an RSA, EC or Ed25519"),
            ("-----BEGIN PUBLIC KEY-----\nMA==\n", "no end"),
            ("-----BEGIN ", "no label"),
        ] {
            assert!(problem(content.as_bytes()).contains(reason), "{content}: {}", problem(content.as_bytes()));
        }
    }

    #[test]
    fn unfit_keys_of_a_jwks_are_left_out_with_a_reason() {
        for (unfit, reason) in [
            (json!(7), "not a JWK"),
            (json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}), "not supported"),
            (json!({"kty": "OKP", "crv": "X25519", "x": "AA"}), "not supported"),
            (json!({"kty": "OKP", "crv": "P-256", "x": "A".repeat(43)}), "not Ed25519"),
            (json!({"kty": "oct", "k": "AAAA"}), "has 3 bytes"),
            (jwk_of(RSA, json!({"use": "enc"})), "`use`"),
            (jwk_of(RSA, json!({"key_ops": ["encrypt"]})), "`key_ops`"),
            (jwk_of(RSA, json!({"alg": "RSA-OAEP"})), "`alg`"),
            (jwk_of(RSA, json!({"alg": "HS256"})), "`alg`"),
            (jwk_of(P256, json!({"alg": "ES384"})), "`alg`"),
            (jwk_of(RSA, json!({"n": "not base64!"})), "base64url"),
        ] {
            let set = json!({"keys": [unfit, jwk_of(P256, json!({"kid": "good"}))]}).to_string();
            let material = read(set.as_bytes(), "test", Trust::Local).unwrap();
            assert_eq!(material.keys.len(), 1, "{set}");
            assert!(material.skipped[0].contains(reason), "{set}: {:?}", material.skipped);
        }
    }

    #[test]
    fn a_url_may_publish_public_keys_only() {
        let oct = json!({"kty": "oct", "k": "A".repeat(43)});
        let set = json!({"keys": [oct, jwk_of(P256, json!({"kid": "p"}))]}).to_string();
        let material = read(set.as_bytes(), "test", Trust::Remote).unwrap();
        assert_eq!((material.keys.len(), &*material.keys[0].label), (1, "p"));
        for content in ["s".repeat(40), RSA.to_owned(), json!({"keys": [oct]}).to_string()] {
            assert!(read(content.as_bytes(), "test", Trust::Remote).is_err(), "{content}");
        }
    }

    #[test]
    fn more_keys_than_allowed_are_refused() {
        let set = json!({"keys": vec![jwk_of(P256, json!({})); MAX_KEYS + 1]}).to_string();
        assert!(problem(set.as_bytes()).contains("65 keys"));
    }
}

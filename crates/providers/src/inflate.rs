//! Answers that come compressed although nobody asked: gzip and deflate are unpacked, anything else is refused.

use crate::fault::{FaultKind, UpstreamFault};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use std::io::Write;

/// Unpacks a body piece by piece.
pub enum Inflate {
    /// Not compressed.
    Plain,
    /// `gzip`.
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// `deflate`, which is zlib by the standard and raw by habit; the first byte tells.
    Deflate(Option<DeflateKind>),
}

/// The two meanings of `deflate`.
pub enum DeflateKind {
    /// With zlib header.
    Zlib(ZlibDecoder<Vec<u8>>),
    /// Without.
    Raw(DeflateDecoder<Vec<u8>>),
}

impl Inflate {
    /// For the value of `content-encoding`.
    ///
    /// # Errors
    /// `Malformed` for an encoding that was not asked for and is not known.
    pub fn new(encoding: Option<&str>) -> Result<Self, UpstreamFault> {
        match encoding
            .map(str::trim)
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "" | "identity" => Ok(Inflate::Plain),
            "gzip" | "x-gzip" => Ok(Inflate::Gzip(MultiGzDecoder::new(Vec::new()))),
            "deflate" => Ok(Inflate::Deflate(None)),
            _ => Err(UpstreamFault::new(
                FaultKind::Malformed,
                "the provider's answer has an unknown content encoding",
            )),
        }
    }

    /// Unpacks the next bytes and appends what they give.
    ///
    /// # Errors
    /// `Malformed` if the bytes are not what the encoding says.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), UpstreamFault> {
        let unpacked = match self {
            Inflate::Plain => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Inflate::Gzip(decoder) => unpack(decoder, bytes).map(|()| decoder.get_mut()),
            Inflate::Deflate(kind) => {
                let Some(first) = bytes.first() else {
                    return Ok(());
                };
                let zlib = first & 0x0f == 8;
                let kind = kind.get_or_insert_with(|| {
                    if zlib {
                        DeflateKind::Zlib(ZlibDecoder::new(Vec::new()))
                    } else {
                        DeflateKind::Raw(DeflateDecoder::new(Vec::new()))
                    }
                });
                match kind {
                    DeflateKind::Zlib(decoder) => {
                        unpack(decoder, bytes).map(|()| decoder.get_mut())
                    }
                    DeflateKind::Raw(decoder) => unpack(decoder, bytes).map(|()| decoder.get_mut()),
                }
            }
        };
        match unpacked {
            Ok(fresh) => {
                out.append(fresh);
                Ok(())
            }
            Err(error) => Err(UpstreamFault::new(
                FaultKind::Malformed,
                "the provider's compressed answer is broken",
            )
            .because(error)),
        }
    }
}

fn unpack(decoder: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    decoder.write_all(bytes)?;
    decoder.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    #[test]
    fn gzip_is_unpacked_as_it_comes() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"data: a\n\n").unwrap();
        encoder.flush().unwrap();
        let first = encoder.get_ref().clone();
        encoder.write_all(b"data: b\n\n").unwrap();
        let all = encoder.finish().unwrap();
        let mut inflate = Inflate::new(Some("gzip")).unwrap();
        let mut out = Vec::new();
        inflate.push(&first, &mut out).unwrap();
        assert_eq!(out, b"data: a\n\n");
        for byte in &all[first.len()..] {
            inflate.push(&[*byte], &mut out).unwrap();
        }
        assert_eq!(out, b"data: a\n\ndata: b\n\n");
    }

    #[test]
    fn nonsense_is_refused() {
        let mut inflate = Inflate::new(Some("gzip")).unwrap();
        assert!(inflate.push(b"not gzip at all", &mut Vec::new()).is_err());
        assert!(Inflate::new(Some("br")).is_err());
    }
}

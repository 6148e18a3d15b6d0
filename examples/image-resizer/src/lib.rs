//! Work for the processor: `POST /?width=N` answers the picture in its body, a PNG or JPEG, scaled to that width.

use std::io::Cursor;

use coracle_sdk::http::{Bytes, DefaultBodyLimit, Query, Router, StatusCode, header, post};
use coracle_sdk::{http_handler, info};
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader, Limits};
use serde::Deserialize;

/// The longest side of a picture, before and after.
const PIXELS_MAX: u32 = 4_096;
/// The largest request.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The most memory that a picture may take when it is unpacked.
const PICTURE_BYTES_MAX: u64 = 48 << 20;

#[http_handler]
fn app() -> Router {
    Router::new().route("/", post(resize)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

#[derive(Deserialize)]
struct Size {
    width: u32,
}

type Picture = ([(header::HeaderName, &'static str); 1], Vec<u8>);

async fn resize(Query(size): Query<Size>, body: Bytes) -> Result<Picture, (StatusCode, String)> {
    if !(1..=PIXELS_MAX).contains(&size.width) {
        return Err((StatusCode::BAD_REQUEST, format!("width: expected 1 to {PIXELS_MAX}\n")));
    }
    let (format, picture) = scale(&body, size.width).map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")))?;
    info!("resized", width = size.width, bytes_before = body.len(), bytes_after = picture.len());
    Ok(([(header::CONTENT_TYPE, format.to_mime_type())], picture))
}

fn scale(bytes: &[u8], width: u32) -> Result<(ImageFormat, Vec<u8>), image::ImageError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(PIXELS_MAX);
    limits.max_image_height = Some(PIXELS_MAX);
    limits.max_alloc = Some(PICTURE_BYTES_MAX);
    reader.limits(limits);
    let format = reader.format().unwrap_or(ImageFormat::Png);
    let picture = reader.decode()?.resize(width, PIXELS_MAX, FilterType::Triangle);
    let mut scaled = Cursor::new(Vec::new());
    picture.write_to(&mut scaled, format)?;
    Ok((format, scaled.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use coracle_sdk::test::Client;

    const BOAT: &[u8] = include_bytes!("../boat.png");

    #[test]
    fn a_picture_keeps_its_format_and_proportions() {
        let answer = Client::new(app()).post("/?width=16", BOAT);
        assert_eq!((answer.status(), answer.headers()["content-type"].to_str().unwrap()), (200, "image/png"));
        let picture = image::load_from_memory(answer.bytes()).unwrap();
        assert_eq!((picture.width(), picture.height()), (16, 12));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let client = Client::new(app());
        assert_eq!(client.post("/?width=16", "boat").status(), 422);
        assert_eq!(client.post("/?width=16", &BOAT[..BOAT.len() / 2]).status(), 422);
        assert_eq!(client.post("/?width=0", BOAT).status(), 400);
        assert_eq!(client.post("/?width=16", vec![0; BODY_BYTES_MAX + 1]).status(), 413);
    }
}

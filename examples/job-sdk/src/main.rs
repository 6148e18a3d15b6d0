//! A job written with the SDK: it counts the words of the files that its arguments name, and fails if there is one with fewer than `$WORDS_MIN`.

use std::error::Error;

use coracle_sdk::{config, info, job};

#[job]
fn count(files: Vec<String>) -> Result<(), Box<dyn Error>> {
    let words_min: usize = config::optional("WORDS_MIN")?.unwrap_or(0);
    for file in &files {
        let words = words(&config::text(file)?);
        if words < words_min {
            return Err(format!("{file} has {words} words, and at least {words_min} are expected").into());
        }
        println!("{words} {file}");
    }
    info!("counted", files = files.len());
    Ok(())
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_is_between_white_space() {
        assert_eq!(words("  one two\nthree "), 3);
        assert_eq!(words(""), 0);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = count(vec!["no-such-file".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("no-such-file: "), "{error}");
    }
}

//! Greets everybody whom its arguments name, with the word in `$GREETING`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned());
    let names: Vec<String> = std::env::args().skip(1).collect();
    match greet(&greeting, &names) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn greet(greeting: &str, names: &[String]) -> Result<String, String> {
    if names.is_empty() {
        return Err("nobody to greet: name somebody".to_owned());
    }
    Ok(names.iter().map(|name| format!("{greeting}, {name}!\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_everybody() {
        let names = ["Ada".to_owned(), "Grace".to_owned()];
        assert_eq!(greet("Hello", &names), Ok("Hello, Ada!\nHello, Grace!\n".to_owned()));
        assert!(greet("Hello", &[]).is_err());
    }
}

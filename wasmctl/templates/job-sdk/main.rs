//! Greets everybody whom its arguments name, with the word in `$GREETING`.

use std::error::Error;

use coracle_sdk::{config, info, job};

#[job]
fn greet(names: Vec<String>) -> Result<(), Box<dyn Error>> {
    let greeting = config::optional::<String>("GREETING")?.unwrap_or_else(|| "Hello".to_owned());
    if names.is_empty() {
        return Err("nobody to greet: name somebody".into());
    }
    for name in &names {
        println!("{greeting}, {name}!");
    }
    info!("greeted", count = names.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_not_greeted() {
        assert!(greet(vec![]).is_err());
        assert!(greet(vec!["Ada".to_owned()]).is_ok());
    }
}

//! The channels of `pods/attach` and `pods/exec`: the first byte of each message of a WebSocket says where the rest belongs.

use serde_json::{Value, json};

/// The newest protocol: a client can say that its input ends.
pub const V5: &str = "v5.channel.k8s.io";
/// The one before it.
pub const V4: &str = "v4.channel.k8s.io";

/// Standard input, from the client.
pub const STDIN: u8 = 0;
/// Standard output, to the client.
pub const STDOUT: u8 = 1;
/// Standard error, to the client.
pub const STDERR: u8 = 2;
/// How it ended, to the client: a Status.
pub const ERROR: u8 = 3;
/// The size of the client's terminal.
pub const RESIZE: u8 = 4;
/// The client says no more on the channel that follows.
pub const CLOSE: u8 = 255;

/// The last word on a command that ended with this code.
pub fn exit_status(code: i32) -> Vec<u8> {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" }).to_string().into_bytes();
    }
    let causes = json!([{ "reason": "ExitCode", "message": code.to_string() }]);
    let status = json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: {code}"), "details": { "causes": causes },
    });
    status.to_string().into_bytes()
}

/// The last word on a stream that failed for another reason.
pub fn failure(message: &str) -> Vec<u8> {
    let status =
        json!({ "metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500 });
    status.to_string().into_bytes()
}

/// Reads the last word: the command's exit code, or why there is none.
pub fn read_exit(status: &[u8]) -> Result<i32, String> {
    let status: Value =
        serde_json::from_slice(status).map_err(|error| format!("the last word is no Status: {error}"))?;
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let code = causes.filter(|cause| cause["reason"] == "ExitCode").find_map(|cause| cause["message"].as_str());
    code.and_then(|code| code.parse().ok())
        .ok_or_else(|| status["message"].as_str().unwrap_or("it failed for no stated reason").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_last_word_is_what_kubectl_reads() {
        let text = |status: Vec<u8>| String::from_utf8(status).unwrap();
        expect![[r#"{"metadata":{},"status":"Success"}"#]].assert_eq(&text(exit_status(0)));
        expect![[r#"{"details":{"causes":[{"message":"3","reason":"ExitCode"}]},"message":"command terminated with non-zero exit code: 3","metadata":{},"reason":"NonZeroExitCode","status":"Failure"}"#]].assert_eq(&text(exit_status(3)));
        expect![[r#"{"code":500,"message":"gone","metadata":{},"reason":"InternalError","status":"Failure"}"#]]
            .assert_eq(&text(failure("gone")));
        assert_eq!((read_exit(&exit_status(0)), read_exit(&exit_status(143))), (Ok(0), Ok(143)));
        assert_eq!(read_exit(&failure("gone")), Err("gone".to_owned()));
        assert!(read_exit(b"rubbish").is_err());
    }
}

//! The attributes of `coracle-sdk`, which is where their documentation is.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::{Error, FnArg, ItemFn, ReturnType, parse_macro_input};

/// Makes a function the component's `wasi:http` handler: an `async fn` answers every request itself, with axum's extractors as its arguments;
/// a plain `fn` gives the `Router` that answers. See `coracle_sdk::http`.
#[proc_macro_attribute]
pub fn http_handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand(handler(&arguments.into(), &function), &function)
}

/// Makes a function the component's program: it gets the arguments as a `Vec<String>` if it wants them, may be `async`, and gives nothing or
/// a `Result`. See `coracle_sdk::job`.
#[proc_macro_attribute]
pub fn job(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    expand(program(&arguments.into(), &function), &function)
}

/// What was made, or the error beside the function as it was written, so that nothing else of it is reported.
fn expand(made: Result<Tokens, Error>, function: &ItemFn) -> TokenStream {
    let tokens = made.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote!(#error #function)
    });
    tokens.into()
}

fn handler(arguments: &Tokens, function: &ItemFn) -> Result<Tokens, Error> {
    no_arguments(arguments, "http_handler")?;
    no_generics(function, "http_handler")?;
    let name = &function.sig.ident;
    let router = if function.sig.asyncness.is_some() {
        quote!(::coracle_sdk::http::Router::new().fallback(#name))
    } else if !function.sig.inputs.is_empty() {
        let message = "#[http_handler] on a `fn` expects one without arguments that gives a `Router`; \
                       for a function that answers requests itself write `async fn`";
        return Err(Error::new_spanned(&function.sig.inputs, message));
    } else if matches!(function.sig.output, ReturnType::Default) {
        let message = "#[http_handler] on a `fn` expects one that gives a `Router`: `fn app() -> Router`";
        return Err(Error::new_spanned(&function.sig, message));
    } else {
        quote!(#name())
    };
    Ok(quote! {
        #function

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Component;

            impl ::coracle_sdk::__private::Handler for Component {
                fn handle(
                    request: ::coracle_sdk::__private::IncomingRequest,
                    answer: ::coracle_sdk::__private::ResponseOutparam,
                ) {
                    // An instance that answers several requests makes its router once.
                    static ROUTER: ::std::sync::OnceLock<::coracle_sdk::http::Router> = ::std::sync::OnceLock::new();
                    ::coracle_sdk::__private::answer(request, answer, || ROUTER.get_or_init(|| #router).clone());
                }
            }

            ::coracle_sdk::__private::wasip2::http::proxy::export!(Component with_types_in ::coracle_sdk::__private::wasip2);
        };

        // As in a test, and as `main` of a program that is never run.
        #[cfg(not(target_family = "wasm"))]
        const _: fn() -> ::coracle_sdk::http::Router = || #router;
    })
}

fn program(arguments: &Tokens, function: &ItemFn) -> Result<Tokens, Error> {
    no_arguments(arguments, "job")?;
    no_generics(function, "job")?;
    let inputs = &function.sig.inputs;
    if inputs.len() > 1 || inputs.iter().any(|input| matches!(input, FnArg::Receiver(_))) {
        let message = "#[job] expects no argument or one: `arguments: Vec<String>`";
        return Err(Error::new_spanned(inputs, message));
    }
    let mut function = function.clone();
    if function.sig.ident == "main" {
        function.sig.ident = format_ident!("job_main");
    }
    let name = &function.sig.ident;
    let given = inputs.iter().map(|_| quote!(::coracle_sdk::job::arguments()));
    let call = quote!(#name(#(#given)*));
    let run = if function.sig.asyncness.is_some() {
        quote!(::coracle_sdk::job::run_async(#call))
    } else {
        quote!(::coracle_sdk::job::run(|| #call))
    };
    Ok(quote! {
        #function

        fn main() -> ::std::process::ExitCode {
            #run
        }
    })
}

fn no_arguments(arguments: &Tokens, attribute: &str) -> Result<(), Error> {
    if arguments.is_empty() {
        return Ok(());
    }
    Err(Error::new_spanned(arguments, format!("#[{attribute}] takes no arguments")))
}

fn no_generics(function: &ItemFn, attribute: &str) -> Result<(), Error> {
    if function.sig.generics.params.is_empty() {
        return Ok(());
    }
    Err(Error::new_spanned(&function.sig.generics, format!("#[{attribute}] expects a function without generics")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(made: fn(&Tokens, &ItemFn) -> Result<Tokens, Error>, arguments: &str, function: &str, expected: Expect) {
        let function = syn::parse_str(function).unwrap();
        let made = made(&arguments.parse().unwrap(), &function);
        expected.assert_eq(&match made {
            Ok(tokens) => tokens.to_string(),
            Err(error) => format!("error: {error}"),
        });
    }

    #[test]
    fn what_no_handler_can_be_is_refused_with_the_way_out() {
        check(
            handler,
            "",
            "fn app(n: u8) -> Router {}",
            expect![
                "error: #[http_handler] on a `fn` expects one without arguments that gives a `Router`; for a function that answers requests itself write `async fn`"
            ],
        );
        check(
            handler,
            "",
            "fn app() {}",
            expect!["error: #[http_handler] on a `fn` expects one that gives a `Router`: `fn app() -> Router`"],
        );
        check(handler, "path = \"/\"", "fn app() -> Router {}", expect!["error: #[http_handler] takes no arguments"]);
        check(
            handler,
            "",
            "async fn app<T>(t: T) -> Router {}",
            expect!["error: #[http_handler] expects a function without generics"],
        );
    }

    #[test]
    fn what_no_job_can_be_is_refused_with_the_way_out() {
        check(
            program,
            "",
            "fn main(a: String, b: String) {}",
            expect!["error: #[job] expects no argument or one: `arguments: Vec<String>`"],
        );
        check(program, "retries = 3", "fn main() {}", expect!["error: #[job] takes no arguments"]);
    }

    #[test]
    fn a_job_keeps_its_name_unless_that_is_main() {
        check(
            program,
            "",
            "fn main() {}",
            expect![
                "fn job_main () { } fn main () -> :: std :: process :: ExitCode { :: coracle_sdk :: job :: run (|| job_main ()) }"
            ],
        );
        check(
            program,
            "",
            "async fn report(words: Vec<String>) -> Result<(), Error> { Ok(()) }",
            expect![
                "async fn report (words : Vec < String >) -> Result < () , Error > { Ok (()) } fn main () -> :: std :: process :: ExitCode { :: coracle_sdk :: job :: run_async (report (:: coracle_sdk :: job :: arguments ())) }"
            ],
        );
    }
}

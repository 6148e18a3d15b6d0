;; A command that prints two lines.
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-type))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output-stream (sub resource)))
    (alias outer 1 $error-type (type $error-outer))
    (export "error" (type $error (eq $error-outer)))
    (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error')))
    (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $output-stream))
      (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $output-stream-outer))
    (export "output-stream" (type $output-stream (eq $output-stream-outer)))
    (export "get-stdout" (func (result (own $output-stream))))))
  (core module $Memory
    (memory (export "memory") 1)
    (data (i32.const 64) "hello\nworld!\n"))
  (core instance $memory (instantiate $Memory))
  (core func $stdout (canon lower (func $stdout "get-stdout")))
  (core func $print (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "memory"))))
  (core module $Main
    (import "host" "stdout" (func $stdout (result i32)))
    (import "host" "print" (func $print (param i32 i32 i32 i32)))
    (func (export "run") (result i32) (local $stream i32)
      (local.set $stream (call $stdout))
      (call $print (local.get $stream) (i32.const 64) (i32.const 13) (i32.const 0))
      (i32.const 0)))
  (core instance $main (instantiate $Main (with "host" (instance
    (export "stdout" (func $stdout)) (export "print" (func $print))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))

;; A command that traps unless wasi:config/store says "Hello" for the key "greeting".
(component
  (import "wasi:config/store@0.2.0-rc.1" (instance $store
    (type $error' (variant (case "upstream" string) (case "io" string)))
    (export "error" (type $error (eq $error')))
    (export "get" (func (param "key" string) (result (result (option string) (error $error)))))))
  (core module $Memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (data (i32.const 128) "greetingHello"))
  (core instance $memory (instantiate $Memory))
  (alias core export $memory "memory" (core memory $shared))
  (core func $get (canon lower (func $store "get") (memory $shared) (realloc (core func $memory "realloc"))))
  (core module $Main
    (import "host" "memory" (memory 1))
    (import "host" "get" (func $get (param i32 i32 i32)))
    (func (export "run") (result i32)
      (call $get (i32.const 128) (i32.const 8) (i32.const 0)) ;; the result is left at address 0
      (if (i32.load8_u (i32.const 0)) (then unreachable))
      (if (i32.eqz (i32.load8_u (i32.const 4))) (then unreachable))
      (if (i32.ne (i32.load (i32.const 12)) (i32.const 5)) (then unreachable))
      (if (i32.ne (i32.load (i32.load (i32.const 8))) (i32.load (i32.const 136))) (then unreachable))
      (i32.const 0)))
  (core instance $main (instantiate $Main (with "host" (instance
    (export "memory" (memory $shared)) (export "get" (func $get))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))

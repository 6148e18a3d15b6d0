;; A command that returns an error.
(component
  (core module $Main
    (func (export "run") (result i32) (i32.const 1)))
  (core instance $main (instantiate $Main))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))

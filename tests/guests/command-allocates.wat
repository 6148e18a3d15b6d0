;; A command that takes memory without end.
(component
  (core module $Main
    (memory 1)
    (func (export "run") (result i32)
      (loop $again (drop (memory.grow (i32.const 16))) (br $again))
      (i32.const 0)))
  (core instance $main (instantiate $Main))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))

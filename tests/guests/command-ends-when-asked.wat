;; A command that waits until it is asked to end, and ends well; with an argument after its name it goes on for ever.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "coracle:lifecycle/termination@0.2.0" (instance $termination
    (alias outer 1 $pollable (type $pollable-outer))
    (export "pollable" (type $pollable (eq $pollable-outer)))
    (export "requested" (func (result bool)))
    (export "subscribe" (func (result (own $pollable))))))
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-arguments" (func (result (list string))))))
  (core module $Memory
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $free))
      (global.set $free (i32.and (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 7)) (i32.const -8)))
      (local.get $at)))
  (core instance $memory (instantiate $Memory))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $requested (canon lower (func $termination "requested")))
  (core func $subscribe (canon lower (func $termination "subscribe")))
  (core func $arguments (canon lower (func $environment "get-arguments")
    (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
  (core module $Main
    (import "host" "memory" (memory 1))
    (import "host" "block" (func $block (param i32)))
    (import "host" "requested" (func $requested (result i32)))
    (import "host" "subscribe" (func $subscribe (result i32)))
    (import "host" "arguments" (func $arguments (param i32)))
    (func (export "run") (result i32)
      (call $block (call $subscribe))
      (call $arguments (i32.const 0))
      (if (i32.gt_u (i32.load (i32.const 4)) (i32.const 1)) (then (loop $again (br $again))))
      ;; 1 is failure.
      (i32.eqz (call $requested))))
  (core instance $main (instantiate $Main (with "host" (instance
    (export "memory" (memory $memory "memory"))
    (export "block" (func $block))
    (export "requested" (func $requested))
    (export "subscribe" (func $subscribe))
    (export "arguments" (func $arguments))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))

;; A command of WASI 0.3 that waits until it is asked to end, and ends well.
(component
  (import "coracle:lifecycle/termination@0.3.0" (instance $termination
    (export "requested" (func (result bool)))
    (export "wait" (func async))))
  (core func $requested (canon lower (func $termination "requested")))
  (core func $wait (canon lower (func $termination "wait")))
  (core module $Main
    (import "host" "requested" (func $requested (result i32)))
    (import "host" "wait" (func $wait))
    (func (export "run") (result i32)
      (call $wait)
      ;; 1 is failure.
      (i32.eqz (call $requested))))
  (core instance $main (instantiate $Main (with "host" (instance
    (export "requested" (func $requested))
    (export "wait" (func $wait))))))
  (func $run async (result (result)) (canon lift (core func $main "run")))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $command)))

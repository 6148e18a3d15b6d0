;; Middleware of wasi:http 0.2 that passes each request on, and has three pages of memory.
(component
  (import "wasi:http/types@0.2.0" (instance $http
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $http "incoming-request" (type $request))
  (alias export $http "response-outparam" (type $out))
  (import "wasi:http/incoming-handler@0.2.0" (instance $next
    (alias outer 1 $request (type $request))
    (alias outer 1 $out (type $out))
    (export "handle" (func (param "request" (own $request)) (param "response-out" (own $out))))))
  (core func $pass-on (canon lower (func $next "handle")))
  (core module $Main
    (import "next" "handle" (func $pass-on (param i32 i32)))
    (memory 3)
    (func (export "handle") (param i32 i32) (call $pass-on (local.get 0) (local.get 1))))
  (core instance $main (instantiate $Main (with "next" (instance (export "handle" (func $pass-on))))))
  (func $handle (param "request" (own $request)) (param "response-out" (own $out)) (canon lift (core func $main "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))

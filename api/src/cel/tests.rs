use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

/// Evaluates over an object, each expression on a line, and prints what comes of it.
fn evaluate(object: &Json, expressions: &[&str]) -> String {
    let lines = expressions.iter().map(|source| {
        let declared = Declarations { variables: &["object"], definitions: None, ..Declarations::default() };
        let result = match Program::compile(source, declared) {
            Err(error) => error.to_string(),
            Ok(program) => match program.evaluate(&[("object", object)], &Budget::default()) {
                Ok(value) => value.to_string(),
                Err(error) => format!("error: {error}"),
            },
        };
        format!("{source} → {result}\n")
    });
    lines.collect()
}

fn check(expressions: &[&str], expected: Expect) {
    expected.assert_eq(&evaluate(&Json::Null, expressions));
}

fn check_object(object: Json, expressions: &[&str], expected: Expect) {
    expected.assert_eq(&evaluate(&object, expressions));
}

#[test]
fn literals_and_operators() {
    check(
        &[
            "1 + 2 * 3 - 4 / 2 % 3",
            "-9223372036854775808",
            "9223372036854775807 + 1",
            "0x1F == 31 && 2u + 3u == 5u",
            "1 / 0",
            "1.5 + 2.5e1",
            "1 == 1.0 && 1u == 1 && 2 > 1.5",
            "'a' + \"b\" + '''c'd''' + r'\\n'",
            "'\\u00e9\\x41\\101\\n'",
            "b'\\xff' == b'\\377'",
            "[1] + [2, 3]",
            "{'a': 1, 2: 'b'}[2]",
            "{'a': 1, 'a': 2}",
            "!true || !!true && 1 < 2",
            "true ? 'yes' : 'no'",
            "1 in [1, 2] && !('c' in {'a': 1})",
            "false && 1 / 0 > 0",
            "1 / 0 > 0 || true",
            "1 / 0 > 0 || false",
            "null == 1",
            "// a comment\n[1, [2]] == [1.0, [2u]]",
            "dyn(1) + 'a'",
            "type(1) == int && type('') == string && type(int) == type",
        ],
        expect![[r#"
            1 + 2 * 3 - 4 / 2 % 3 → 5
            -9223372036854775808 → -9223372036854775808
            9223372036854775807 + 1 → error: integer overflow
            0x1F == 31 && 2u + 3u == 5u → true
            1 / 0 → error: division by zero
            1.5 + 2.5e1 → 26.5
            1 == 1.0 && 1u == 1 && 2 > 1.5 → true
            'a' + "b" + '''c'd''' + r'\n' → "abc'd\\n"
            '\u00e9\x41\101\n' → "éAA\n"
            b'\xff' == b'\377' → true
            [1] + [2, 3] → [1,2,3]
            {'a': 1, 2: 'b'}[2] → "b"
            {'a': 1, 'a': 2} → error: insert failed: key a already exists
            !true || !!true && 1 < 2 → true
            true ? 'yes' : 'no' → "yes"
            1 in [1, 2] && !('c' in {'a': 1}) → true
            false && 1 / 0 > 0 → false
            1 / 0 > 0 || true → true
            1 / 0 > 0 || false → error: division by zero
            null == 1 → false
            // a comment
            [1, [2]] == [1.0, [2u]] → true
            dyn(1) + 'a' → error: no such overload: + applied to (int, string)
            type(1) == int && type('') == string && type(int) == type → true
        "#]],
    );
}

#[test]
fn macros() {
    check(
        &[
            "[1, 2, 3].all(x, x > 0)",
            "[1, 2, 3].exists(x, x > 2)",
            "[1, 2, 3].exists_one(x, x > 2)",
            "[1, 2, 3].map(x, x * 2)",
            "[1, 2, 3].map(x, x > 1, x * 2)",
            "[1, 2, 3].filter(x, x != 2)",
            "[0, 2].all(x, 4 / x == 2)",
            "[0, 2].exists(x, 4 / x == 2)",
            "[0, 4].exists(x, 4 / x == 2)",
            "{'a': 1, 'b': 2}.map(k, k)",
            "{'a': 1, 'b': 2}.all(k, v, k == 'a' ? v == 1 : v == 2)",
            "[5, 6].transformList(i, v, i * v)",
            "{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v + 1)",
            "[5, 6].existsOne(i, v, i == 1 && v == 6)",
            "cel.bind(x, 1 + 1, x * x)",
            "[1].map(x, [2].map(x, x + 1))",
            "has({'a': null}.a) && !has({'a': 1}.b)",
        ],
        expect![[r#"
            [1, 2, 3].all(x, x > 0) → true
            [1, 2, 3].exists(x, x > 2) → true
            [1, 2, 3].exists_one(x, x > 2) → true
            [1, 2, 3].map(x, x * 2) → [2,4,6]
            [1, 2, 3].map(x, x > 1, x * 2) → [4,6]
            [1, 2, 3].filter(x, x != 2) → [1,3]
            [0, 2].all(x, 4 / x == 2) → error: division by zero
            [0, 2].exists(x, 4 / x == 2) → true
            [0, 4].exists(x, 4 / x == 2) → error: division by zero
            {'a': 1, 'b': 2}.map(k, k) → ["a","b"]
            {'a': 1, 'b': 2}.all(k, v, k == 'a' ? v == 1 : v == 2) → true
            [5, 6].transformList(i, v, i * v) → [0,6]
            {'a': 1, 'b': 2}.transformMap(k, v, v > 1, v + 1) → {"b":3}
            [5, 6].existsOne(i, v, i == 1 && v == 6) → true
            cel.bind(x, 1 + 1, x * x) → 4
            [1].map(x, [2].map(x, x + 1)) → [[3]]
            has({'a': null}.a) && !has({'a': 1}.b) → true
        "#]],
    );
}

#[test]
fn objects() {
    check_object(
        json!({
            "metadata": { "name": "web", "labels": { "app.kubernetes.io/name": "web" } },
            "spec": { "replicas": 3, "x-y": 1, "namespace": "n", "half": 0.5, "list": [{ "name": "a", "port": 80 }] },
        }),
        &[
            "object.metadata.name.startsWith('w')",
            "object.metadata.labels['app.kubernetes.io/name']",
            "object.spec.replicas <= 5 && object.spec.half < 1",
            "object.spec.x__dash__y + 1",
            "object.spec.__namespace__ == object.spec.namespace",
            "object.spec.list.all(item, item.port < 1024)",
            "object.spec.missing",
            "has(object.spec.missing) || has(object.spec.missing.further)",
            "object.?spec.?missing.orValue('default')",
            "object.spec.?replicas.optMap(n, n + 1).value()",
            "object.spec.list[?1].hasValue()",
            "[?object.spec.?missing, ?object.spec.?replicas]",
            "{?'a': object.spec.?missing, 'b': 1}",
            "object.spec.list[1]",
            "object.spec.replicas.name",
            "object.spec.replicas && true",
        ],
        expect![[r#"
            object.metadata.name.startsWith('w') → true
            object.metadata.labels['app.kubernetes.io/name'] → "web"
            object.spec.replicas <= 5 && object.spec.half < 1 → true
            object.spec.x__dash__y + 1 → 2
            object.spec.__namespace__ == object.spec.namespace → true
            object.spec.list.all(item, item.port < 1024) → true
            object.spec.missing → error: no such key: missing
            has(object.spec.missing) || has(object.spec.missing.further) → error: no such key: missing
            object.?spec.?missing.orValue('default') → "default"
            object.spec.?replicas.optMap(n, n + 1).value() → 4
            object.spec.list[?1].hasValue() → false
            [?object.spec.?missing, ?object.spec.?replicas] → [3]
            {?'a': object.spec.?missing, 'b': 1} → {"b":1}
            object.spec.list[1] → error: index out of bounds: 1
            object.spec.replicas.name → error: no such overload: select '.name' applied to (int)
            object.spec.replicas && true → error: no such overload: got 'int', expected bool
        "#]],
    );
}

#[test]
fn texts() {
    check(
        &[
            "'hello'.charAt(1) + 'hello'.substring(2, 4) + 'hello'.substring(4)",
            "'héllo'.size() == 5 && size(b'h') == 1",
            "['hello mellow'.indexOf('ell'), 'hello mellow'.indexOf('ell', 2), 'hello'.lastIndexOf('l'), 'a'.indexOf('b')]",
            "'hello'.lastIndexOf('l', 2)",
            "['a', 'b'].join('-') + ['c'].join()",
            "'TacoCat'.lowerAscii() + 'x'.upperAscii()",
            "'hello hello'.replace('he', 'we') + 'hello hello'.replace('he', 'we', 1)",
            "['a,b,c'.split(','), 'a,b,c'.split(',', 2), 'abc'.split(''), 'a'.split('', 0)]",
            "'  x\\t'.trim()",
            "strings.quote('a\"b')",
            "'%s %d %.2f %e %x %X %o %b %%'.format(['a', 1, 2.345, 1234.5, 255, 'hi', 8, 5])",
            "'%s %s'.format([[1, 'a'], {'k': true}])",
            "'%d'.format(['a'])",
            "'abc'.matches('^a.c$') && matches('abc', 'b')",
            "'abc 123 45'.find('[0-9]+') + string('a1b22'.findAll('[0-9]+').size())",
            "'a1b22'.findAll('[0-9]+', 1)",
            "'a'.matches('(')",
            "'a'.matches('(' + '')",
            "'abc'.charAt(4)",
        ],
        expect![[r#"
            'hello'.charAt(1) + 'hello'.substring(2, 4) + 'hello'.substring(4) → "ello"
            'héllo'.size() == 5 && size(b'h') == 1 → true
            ['hello mellow'.indexOf('ell'), 'hello mellow'.indexOf('ell', 2), 'hello'.lastIndexOf('l'), 'a'.indexOf('b')] → [1,7,3,-1]
            'hello'.lastIndexOf('l', 2) → 2
            ['a', 'b'].join('-') + ['c'].join() → "a-bc"
            'TacoCat'.lowerAscii() + 'x'.upperAscii() → "tacocatX"
            'hello hello'.replace('he', 'we') + 'hello hello'.replace('he', 'we', 1) → "wello wellowello hello"
            ['a,b,c'.split(','), 'a,b,c'.split(',', 2), 'abc'.split(''), 'a'.split('', 0)] → [["a","b","c"],["a","b,c"],["a","b","c"],[]]
            '  x\t'.trim() → "x"
            strings.quote('a"b') → "\"a\\\"b\""
            '%s %d %.2f %e %x %X %o %b %%'.format(['a', 1, 2.345, 1234.5, 255, 'hi', 8, 5]) → "a 1 2.35 1.234500e+03 ff 6869 10 101 %"
            '%s %s'.format([[1, 'a'], {'k': true}]) → "[1,\"a\"] {\"k\":true}"
            '%d'.format(['a']) → error: error during formatting: %d of a string
            'abc'.matches('^a.c$') && matches('abc', 'b') → true
            'abc 123 45'.find('[0-9]+') + string('a1b22'.findAll('[0-9]+').size()) → "1232"
            'a1b22'.findAll('[0-9]+', 1) → ["1"]
            'a'.matches('(') → ERROR: <input>:1:13: error parsing regexp "(": error: unclosed group
             | 'a'.matches('(')
             | ............^
            'a'.matches('(' + '') → error: error parsing regexp "(": error: unclosed group
            'abc'.charAt(4) → error: index out of range: 4
        "#]],
    );
}

#[test]
fn conversions_and_time() {
    check(
        &[
            "[int('12'), int(3.9), int(7u), int(timestamp('1970-01-01T00:01:00Z'))]",
            "[string(12), string(1.5), string(1e30), string(true), string(duration('90m')), string(b'x')]",
            "[double('1.5'), double(2)] == [1.5, 2.0] && uint(3) == 3u && bool('true')",
            "int('x')",
            "uint(-1)",
            "string(timestamp('2026-02-03T04:05:06.5Z') + duration('1h30m'))",
            "timestamp('2026-02-03T04:05:06Z') - timestamp('2026-02-03T04:05:00Z')",
            "timestamp('2026-02-03T04:05:06Z').getHours('Europe/Berlin')",
            "timestamp('2026-02-03T04:05:06Z').getHours('-08:00')",
            "[timestamp('2026-02-03T04:05:06Z')].map(t, [t.getFullYear(), t.getMonth(), t.getDate(), t.getDayOfMonth(), t.getDayOfWeek(), t.getDayOfYear()])",
            "duration('1h30m').getMinutes() + duration('1500ms').getMilliseconds()",
            "duration('1x')",
            "duration('1h') < duration('61m')",
        ],
        expect![[r#"
            [int('12'), int(3.9), int(7u), int(timestamp('1970-01-01T00:01:00Z'))] → [12,3,7,60]
            [string(12), string(1.5), string(1e30), string(true), string(duration('90m')), string(b'x')] → ["12","1.5","1e+30","true","5400s","x"]
            [double('1.5'), double(2)] == [1.5, 2.0] && uint(3) == 3u && bool('true') → true
            int('x') → error: type conversion error from 'string' to 'int': "x"
            uint(-1) → error: integer overflow
            string(timestamp('2026-02-03T04:05:06.5Z') + duration('1h30m')) → "2026-02-03T05:35:06.5Z"
            timestamp('2026-02-03T04:05:06Z') - timestamp('2026-02-03T04:05:00Z') → "6s"
            timestamp('2026-02-03T04:05:06Z').getHours('Europe/Berlin') → 5
            timestamp('2026-02-03T04:05:06Z').getHours('-08:00') → 20
            [timestamp('2026-02-03T04:05:06Z')].map(t, [t.getFullYear(), t.getMonth(), t.getDate(), t.getDayOfMonth(), t.getDayOfWeek(), t.getDayOfYear()]) → [[2026,1,3,2,2,33]]
            duration('1h30m').getMinutes() + duration('1500ms').getMilliseconds() → 590
            duration('1x') → error: type conversion error from 'string' to 'google.protobuf.Duration': "1x"
            duration('1h') < duration('61m') → true
        "#]],
    );
}

#[test]
fn kubernetes_library() {
    check(
        &[
            "[[1, 2, 2].isSorted(), [2, 1].isSorted()]",
            "[[1, 2].sum(), [].sum(), [3, 1].min(), [3, 1].max(), [1, 2, 1].indexOf(1), [1, 2, 1].lastIndexOf(1)]",
            "[].min()",
            "sets.contains([1, 2, 3], [2.0, 3]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1])",
            "quantity('1.5Gi').isGreaterThan(quantity('1G')) && quantity('100m').isLessThan(quantity('1'))",
            "[quantity('50k').asInteger(), quantity('-1').sign(), quantity('1').compareTo(quantity('2'))]",
            "quantity('50m').isInteger() || isQuantity('x')",
            "quantity('50m').asInteger()",
            "string(quantity('50k').add(quantity('20k')).sub(100)) + string(quantity('500m').asApproximateFloat())",
            "quantity('x')",
            "[url('https://a.example:80/p%20q?k=v&k=w').getHost(), url('https://a.example:80/x').getHostname(), url('https://[::1]:80/').getPort()]",
            "[url('https://a/p%20q?k=v%20w').getEscapedPath(), url('/p').getScheme(), url('https://a/').getScheme()]",
            "url('https://a/?k=v&k=w').getQuery()",
            "[isURL('https://a'), isURL('/a'), isURL('a'), isURL('../a'), isURL('https://a:b/')]",
            "[isIP('127.0.0.1'), isIP('::1'), isIP('::ffff:1.2.3.4'), isIP('127.0.0.01'), isCIDR('10.0.0.0/8'), isCIDR('10.0.0.0/33')]",
            "ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && ip.isCanonical('2001:db8::1')",
            "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16'))",
            "[string(cidr('10.1.2.3/8').masked()), string(cidr('10.1.2.3/8').ip()), string(cidr('::/0').prefixLength())]",
            "semver('1.2.3').isLessThan(semver('1.10.0')) && isSemver('1.0.0-rc.1') && semver('1.2.3').minor() == 2",
        ],
        expect![[r#"
            [[1, 2, 2].isSorted(), [2, 1].isSorted()] → [true,false]
            [[1, 2].sum(), [].sum(), [3, 1].min(), [3, 1].max(), [1, 2, 1].indexOf(1), [1, 2, 1].lastIndexOf(1)] → [3,0,1,3,0,2]
            [].min() → error: min called on empty list
            sets.contains([1, 2, 3], [2.0, 3]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1]) → true
            quantity('1.5Gi').isGreaterThan(quantity('1G')) && quantity('100m').isLessThan(quantity('1')) → true
            [quantity('50k').asInteger(), quantity('-1').sign(), quantity('1').compareTo(quantity('2'))] → [50000,-1,-1]
            quantity('50m').isInteger() || isQuantity('x') → false
            quantity('50m').asInteger() → error: cannot convert value to integer
            string(quantity('50k').add(quantity('20k')).sub(100)) + string(quantity('500m').asApproximateFloat()) → "699000.5"
            quantity('x') → error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
            [url('https://a.example:80/p%20q?k=v&k=w').getHost(), url('https://a.example:80/x').getHostname(), url('https://[::1]:80/').getPort()] → ["a.example:80","a.example","80"]
            [url('https://a/p%20q?k=v%20w').getEscapedPath(), url('/p').getScheme(), url('https://a/').getScheme()] → ["/p%20q","","https"]
            url('https://a/?k=v&k=w').getQuery() → {"k":["v","w"]}
            [isURL('https://a'), isURL('/a'), isURL('a'), isURL('../a'), isURL('https://a:b/')] → [true,true,false,false,false]
            [isIP('127.0.0.1'), isIP('::1'), isIP('::ffff:1.2.3.4'), isIP('127.0.0.01'), isCIDR('10.0.0.0/8'), isCIDR('10.0.0.0/33')] → [true,true,false,false,true,false]
            ip('127.0.0.1').isLoopback() && ip('::1').family() == 6 && ip.isCanonical('2001:db8::1') → true
            cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16')) → true
            [string(cidr('10.1.2.3/8').masked()), string(cidr('10.1.2.3/8').ip()), string(cidr('::/0').prefixLength())] → ["10.0.0.0/8","10.1.2.3","0"]
            semver('1.2.3').isLessThan(semver('1.10.0')) && isSemver('1.0.0-rc.1') && semver('1.2.3').minor() == 2 → true
        "#]],
    );
}

#[test]
fn syntax_errors() {
    check(
        &[
            "",
            "object.spec.",
            "object.x &&",
            "1 +\n  @",
            "'abc",
            "has(object)",
            "[1].map(1, 2)",
            "Object{spec: 1}",
            "namespace == 1",
            "99999999999999999999",
        ],
        expect![[r#"
             → ERROR: <input>:1:1: Syntax error: mismatched input '<EOF>' expecting an expression
             | 
             | ^
            object.spec. → ERROR: <input>:1:13: Syntax error: mismatched input '<EOF>' expecting a field's name
             | object.spec.
             | ............^
            object.x && → ERROR: <input>:1:12: Syntax error: mismatched input '<EOF>' expecting an expression
             | object.x &&
             | ...........^
            1 +
              @ → ERROR: <input>:2:3: Syntax error: token recognition error at: '@'
             |   @
             | ..^
            'abc → ERROR: <input>:1:1: Syntax error: unterminated string literal
             | 'abc
             | ^
            has(object) → ERROR: <input>:1:5: invalid argument to has() macro
             | has(object)
             | ....^
            [1].map(1, 2) → ERROR: <input>:1:9: argument must be a simple name
             | [1].map(1, 2)
             | ........^
            Object{spec: 1} → ERROR: <input>:1:7: messages are not supported: make a map instead
             | Object{spec: 1}
             | ......^
            namespace == 1 → ERROR: <input>:1:1: Syntax error: reserved identifier: namespace
             | namespace == 1
             | ^
            99999999999999999999 → ERROR: <input>:1:1: Syntax error: invalid int literal
             | 99999999999999999999
             | ^
        "#]],
    );
}

#[test]
fn names_and_types_that_do_not_fit() {
    check(
        &[
            "other.x == 1",
            "[1].all(x, y > x)",
            "foo(object)",
            "object.foo()",
            "object.x.size(1)",
            "'a' + 1",
            "1 && true",
            "'a'.name",
            "object.x.matches('[')",
            "authorizer.group('')",
            "format.named('dns1123Label')",
            "1 ? 2 : 3",
        ],
        expect![[r#"
            other.x == 1 → ERROR: <input>:1:1: undeclared reference to 'other' (in container '')
             | other.x == 1
             | ^
            [1].all(x, y > x) → ERROR: <input>:1:12: undeclared reference to 'y' (in container '')
             | [1].all(x, y > x)
             | ...........^
            foo(object) → ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')
             | foo(object)
             | ^
            object.foo() → ERROR: <input>:1:8: undeclared reference to 'foo' (in container '')
             | object.foo()
             | .......^
            object.x.size(1) → ERROR: <input>:1:10: found no matching overload for 'size' applied to 2 arguments
             | object.x.size(1)
             | .........^
            'a' + 1 → ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'
             | 'a' + 1
             | ....^
            1 && true → ERROR: <input>:1:3: found no matching overload for '_&&_' applied to '(int, bool)'
             | 1 && true
             | ..^
            'a'.name → ERROR: <input>:1:1: type 'string' does not support field selection
             | 'a'.name
             | ^
            object.x.matches('[') → ERROR: <input>:1:18: error parsing regexp "[": error: unclosed character class
             | object.x.matches('[')
             | .................^
            authorizer.group('') → ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')
             | authorizer.group('')
             | ^
            format.named('dns1123Label') → ERROR: <input>:1:8: undeclared reference to 'named' (in container '')
             | format.named('dns1123Label')
             | .......^
            1 ? 2 : 3 → ERROR: <input>:1:3: found no matching overload for '_?_:_' applied to '(int)'
             | 1 ? 2 : 3
             | ..^
        "#]],
    );
}

#[test]
fn names_are_escaped() {
    let names = ["plain", "x-y", "a.b/c", "a__b", "namespace", "1a", "sp ace", "__dash__"];
    let escaped: Vec<_> = names.iter().map(|name| escape(name).map(Cow::into_owned)).collect();
    expect![[r#"
        [
            Some(
                "plain",
            ),
            Some(
                "x__dash__y",
            ),
            Some(
                "a__dot__b__slash__c",
            ),
            Some(
                "a__underscores__b",
            ),
            Some(
                "__namespace__",
            ),
            None,
            None,
            Some(
                "__underscores__dash__underscores__",
            ),
        ]
    "#]]
    .assert_debug_eq(&escaped);
    for (name, escaped) in names.iter().zip(&escaped) {
        assert!(escaped.as_ref().is_none_or(|escaped| unescape(escaped) == *name), "{name}");
    }
}

#[test]
fn definitions_are_computed_when_they_are_needed() {
    let mut definitions = Vec::new();
    for (name, source) in [("bad", "1 / 0"), ("two", "1 + 1"), ("four", "variables.two * 2")] {
        let declared =
            Declarations { variables: &["object"], definitions: Some(&definitions), ..Declarations::default() };
        let program = Program::compile(source, declared).unwrap();
        definitions.push((name.to_owned(), program));
    }
    let budget = Budget::default();
    let evaluate = |source: &str| {
        let declared =
            Declarations { variables: &["object"], definitions: Some(&definitions), ..Declarations::default() };
        let program = match Program::compile(source, declared) {
            Ok(program) => program,
            Err(error) => return error.to_string(),
        };
        let object = json!({});
        let evaluation = Evaluation::new([("object", &object)], &budget)
            .with_definitions(definitions.iter().map(|(name, program)| (name.as_str(), program)));
        format!("{:?}", evaluation.evaluate(&program))
    };
    let sources = ["variables.four", "has(object.x) && variables.bad > 1", "variables.bad", "variables.none"];
    let results: Vec<String> = sources.into_iter().map(evaluate).collect();
    expect![[r#"
        Ok(Number(4))
        Ok(Bool(false))
        Err(Failed("division by zero"))
        ERROR: <input>:1:1: undefined field 'none'
         | variables.none
         | ^"#]]
    .assert_eq(&results.join("\n"));
}

/// What would run for years, or fill the memory, ends with an error.
#[test]
fn costs_are_limited() {
    let object = json!({ "list": (0..1000).collect::<Vec<_>>(), "text": "a".repeat(100_000) });
    let doubled = "cel.bind(a, [1, 1], ".to_owned()
        + &(0..40).map(|_| "cel.bind(a, [a, a], ").collect::<String>()
        + "a"
        + &")".repeat(41);
    let sources = [
        "object.list.all(a, object.list.all(b, object.list.all(c, a + b + c >= 0)))",
        "object.list.map(a, object.list)",
        "object.list.map(a, object.text + object.text).join()",
        "object.list.all(a, object.text.matches('(a*)*b{100}'))",
        "object.text.findAll('a*[^a]|a').size()",
        "object.text.replace('a', object.text)",
        doubled.as_str(),
        &format!("{doubled} == {doubled}"),
        "object.list.all(a, object.list == object.list)",
    ];
    let results = sources.map(|source| {
        let declared = Declarations { variables: &["object"], definitions: None, ..Declarations::default() };
        let program = Program::compile(source, declared).unwrap();
        program.evaluate(&[("object", &object)], &Budget::default()).unwrap_err().to_string()
    });
    expect![[r#"
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded
        operation cancelled: actual cost limit exceeded"#]]
    .assert_eq(&results.join("\n"));
}

#[test]
fn a_request_has_a_budget() {
    let program = Program::compile("[1, 2].all(x, x > 0)", Declarations::default()).unwrap();
    let budget = Budget::of(20);
    assert_eq!(program.is_true(&[], &budget), Ok(true));
    assert_eq!(program.is_true(&[], &budget), Err(EvaluationError::RequestCost));
}

/// The deepest expressions there may be fit into a small stack.
#[test]
fn depth_is_limited() {
    let run = || {
        let wrapped = |before: &str, middle: &str, after: &str, count: usize| {
            before.repeat(count) + middle + &after.repeat(count)
        };
        let compile = |source: &str| {
            let program = Program::compile(source, Declarations::default())?;
            let _ = program.evaluate(&[], &Budget::default());
            Ok::<_, CompileError>(())
        };
        for (before, middle, after) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("{1: ", "1", "}"),
            ("size(", "1", ")"),
            ("[1].map(x, ", "1", ")"),
            ("true ? 1 : ", "1", ""),
            ("!", "true", ""),
            ("-", "1", ""),
            ("", "1", " + 1"),
            ("", "{}", ".a"),
            ("", "[]", "[0]"),
            ("1 + (", "1", ")"),
        ] {
            for count in [10, 50, 60, 63, 100, 180, 199, 1000, 3000] {
                let result = compile(&wrapped(before, middle, after, count));
                assert!(count > 60 || result.is_ok(), "{before}{middle}{after} {count}: {result:?}");
            }
        }
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(run).unwrap().join().unwrap();
}

/// Answers by the verb, and notes what it is asked.
#[derive(Default)]
struct Asked(std::cell::RefCell<Vec<AccessCheck>>);

impl Authorize for Asked {
    fn allows(&self, check: &AccessCheck) -> bool {
        self.0.borrow_mut().push(check.clone());
        check.verb == "create"
    }
}

fn check_access(expressions: &[&str], expected: Expect) {
    let lines = expressions.iter().map(|source| {
        let declared = Declarations { variables: &["authorizer"], definitions: None, ..Declarations::default() };
        let program = match Program::compile(source, declared) {
            Ok(program) => program,
            Err(error) => return format!("{source} → {error}\n"),
        };
        let (asked, budget) = (Asked::default(), Budget::default());
        let [group, resource, namespace] = ["apps", "deployments", "shop"].map(str::to_owned);
        let [subresource, name] = ["scale", "web"].map(str::to_owned);
        let request = AccessSubject::Resource { group, resource, subresource, namespace, name };
        let evaluation = Evaluation::new([], &budget).with_authorizer(&asked, request);
        let result = evaluation.evaluate(&program);
        let checks = asked.0.take();
        let checks = checks.iter().map(|check| format!("  {check:?}\n")).collect::<String>();
        let result = result.map_or_else(|error| format!("error: {error}"), |value| value.to_string());
        format!("{source} → {result}: {}\n{checks}", program.result())
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn rights() {
    check_access(
        &[
            "authorizer.group('').resource('pods').check('create').allowed()",
            "authorizer.group('apps').resource('deployments').subresource('scale').namespace('shop').name('web').check('get').allowed()",
            "authorizer.path('/healthz').check('get').reason()",
            "authorizer.serviceAccount('shop', 'robot').group('').resource('pods').check('create').errored()",
            "authorizer.requestResource.check('create').allowed()",
            "authorizer.requestResource.name('').check('create').error()",
            "[authorizer].all(a, a.requestResource.check('get').allowed())",
            "has(authorizer.requestResource)",
            "type(authorizer.group(''))",
        ],
        expect![[r#"
            authorizer.group('').resource('pods').check('create').allowed() → true: bool
              AccessCheck { service_account: None, verb: "create", subject: Resource { group: "", resource: "pods", subresource: "", namespace: "", name: "" } }
            authorizer.group('apps').resource('deployments').subresource('scale').namespace('shop').name('web').check('get').allowed() → false: bool
              AccessCheck { service_account: None, verb: "get", subject: Resource { group: "apps", resource: "deployments", subresource: "scale", namespace: "shop", name: "web" } }
            authorizer.path('/healthz').check('get').reason() → "": string
              AccessCheck { service_account: None, verb: "get", subject: Path("/healthz") }
            authorizer.serviceAccount('shop', 'robot').group('').resource('pods').check('create').errored() → false: bool
              AccessCheck { service_account: Some(("shop", "robot")), verb: "create", subject: Resource { group: "", resource: "pods", subresource: "", namespace: "", name: "" } }
            authorizer.requestResource.check('create').allowed() → true: bool
              AccessCheck { service_account: None, verb: "create", subject: Resource { group: "apps", resource: "deployments", subresource: "scale", namespace: "shop", name: "web" } }
            authorizer.requestResource.name('').check('create').error() → "": string
              AccessCheck { service_account: None, verb: "create", subject: Resource { group: "apps", resource: "deployments", subresource: "scale", namespace: "shop", name: "" } }
            [authorizer].all(a, a.requestResource.check('get').allowed()) → false: bool
              AccessCheck { service_account: None, verb: "get", subject: Resource { group: "apps", resource: "deployments", subresource: "scale", namespace: "shop", name: "web" } }
            has(authorizer.requestResource) → true: bool
            type(authorizer.group('')) → "kubernetes.authorization.GroupCheck": type
        "#]],
    );
}

#[test]
fn rights_that_cannot_be_asked_for() {
    check_access(
        &[
            "authorizer.other",
            "authorizer.serviceAccount('a', 'b').requestResource",
            "authorizer.path('').check('get').allowed()",
            "authorizer.path('/').namespace('a')",
            "authorizer.serviceAccount('a b', 'c').path('/')",
            "authorizer.serviceAccount('a', '')",
            "authorizer.resource('pods')",
            "authorizer.group(1)",
            "authorizer.group('').resource('pods').allowed()",
            "authorizer.group('').resource('pods').fieldSelector('a=b')",
            "authorizer + 1",
            "[1, 2, 3].all(i, authorizer.path('/').check('create').allowed())",
        ],
        expect![[r#"
            authorizer.other → ERROR: <input>:1:1: type 'kubernetes.authorization.Authorizer' does not support field selection
             | authorizer.other
             | ^
            authorizer.serviceAccount('a', 'b').requestResource → ERROR: <input>:1:12: type 'kubernetes.authorization.Authorizer' does not support field selection
             | authorizer.serviceAccount('a', 'b').requestResource
             | ...........^
            authorizer.path('').check('get').allowed() → error: path must not be empty: bool
            authorizer.path('/').namespace('a') → error: no such overload: namespace applied to (kubernetes.authorization.PathCheck, string): kubernetes.authorization.ResourceCheck
            authorizer.serviceAccount('a b', 'c').path('/') → error: Invalid service account namespace: kubernetes.authorization.PathCheck
            authorizer.serviceAccount('a', '') → error: Invalid service account name: kubernetes.authorization.Authorizer
            authorizer.resource('pods') → error: no such overload: resource applied to (kubernetes.authorization.Authorizer, string): kubernetes.authorization.ResourceCheck
            authorizer.group(1) → error: no such overload: group applied to (kubernetes.authorization.Authorizer, int): kubernetes.authorization.GroupCheck
            authorizer.group('').resource('pods').allowed() → error: no such overload: allowed applied to (kubernetes.authorization.ResourceCheck): bool
            authorizer.group('').resource('pods').fieldSelector('a=b') → ERROR: <input>:1:39: undeclared reference to 'fieldSelector' (in container '')
             | authorizer.group('').resource('pods').fieldSelector('a=b')
             | ......................................^
            authorizer + 1 → ERROR: <input>:1:12: found no matching overload for '_+_' applied to '(kubernetes.authorization.Authorizer, int)'
             | authorizer + 1
             | ...........^
            [1, 2, 3].all(i, authorizer.path('/').check('create').allowed()) → error: operation cancelled: actual cost limit exceeded: bool
              AccessCheck { service_account: None, verb: "create", subject: Path("/") }
              AccessCheck { service_account: None, verb: "create", subject: Path("/") }
        "#]],
    );
}

-- The Jinja engine by small templates: every statement, operator, filter, test, method and kind of error.
local t = require "tests.check"
local sq = require "sqlune"
local jinja = require "sqlune.jinja"

local context = {
  s = "Hello World", n = sq.json.null, zero = 0, seven = 7, half = 2.5, yes = true, list = { 3, 1, 2 }, u = "中é🦙",
  d = sq.json.object("b", 1, "a", { 10, 20 }, "items", "I"),
  people = { { name = "Ann", age = 31 }, { name = "bob", age = 7 }, { name = "Cyd", age = 31 } },
}

local function render(source, variables, now)
  local template, err = jinja.compile(source)
  if not template then return nil, err end
  local done
  done, err = template:render(variables or context, now)
  return done and done.text, err
end

-- A test of pairs: template, then what it prints.
local function prints(cases)
  return function()
    for i = 1, #cases, 2 do
      local text, err = render(cases[i])
      t.eq(text, cases[i + 1], cases[i] .. (err and ": " .. tostring(err) or ""))
    end
  end
end

-- A test of triples: template, class of the error, pattern of its message.
local function fails(cases)
  return function()
    for i = 1, #cases, 3 do
      local text, err = render(cases[i])
      t.ok(text == nil, cases[i] .. " printed " .. tostring(text))
      t.eq(err.class, cases[i + 1], cases[i])
      t.ok(err.message:find(cases[i + 2]), cases[i] .. ": " .. err.message)
    end
  end
end

local M = {}

-- The source ----------------------------------------------------------------------------------------------------

M["white space around tags"] = prints {
  "a\n", "a",
  "a\r\nb\n\n", "a\nb\n",
  "a\n  {% if yes %}\nb\n  {% endif %}\nc", "a\nb\nc",
  "a {%- if yes -%} b {%- endif -%} c", "abc",
  "  {%+ if yes +%}\nx{% endif %}", "  \nx",
  "x {# c #}\n y {#- d -#} z", "x  yz",
  "{% raw %}{{ x }}{% endraw %}\n.", "{{ x }}.",
  "{{- 1 -}} {{ 2 }} ", "12 ",
  "a \u{3000}\u{85}{{- 1 }}", "a1",
}

M["literals"] = prints {
  "{{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e3 }} {{ 9007199254740993 }}",
  "1000 31 3 15 1500.0 9007199254740993",
  [[{{ 'it\'s \x41\u4e2d\n\q' }}]], "it's A中\n\\q",
  "{{ 'a' \"b\" }}", "ab",
  "{{ [1, 2.0, 'a', none, true, (1,), {}] }}", "[1, 2.0, 'a', None, True, (1,), {}]",
  "{{ {'a': 1, 2: [x]} }}", "{'a': 1, 2: [Undefined]}",
  "{{ 1, 2 }} {{ () }}", "(1, 2) ()",
  [[{{ ["it's", '"', '\'"', '\t', '\x7f', '\u200b'] }}]], [==[["it's", '"', '\'"', '\t', '\x7f', '\u200b']]==],
}

M["floats print like Python's"] = prints {
  "{{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 1e-5 }} {{ 5e-324 }} {{ 0.1 + 0.2 }} {{ -0.0 }} {{ 123456789.125 }}",
  "1e+16 1000000000000000.0 0.0001 1e-05 5e-324 0.30000000000000004 -0.0 123456789.125",
}

-- Expressions ---------------------------------------------------------------------------------------------------

M["arithmetic"] = prints {
  "{{ 7 + 2 }} {{ 7 - 9 }} {{ 7 * 2 }} {{ 7 / 2 }} {{ 8 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }}",
  "9 -2 14 3.5 4.0 -4 2 1024 0.5",
  "{{ 'ab' * 2 }} {{ [0] * 2 }} {{ [1] + [2] }} {{ true + 1 }}", "abab [0, 0] [1, 2] 2",
  "{{ -3|abs }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ +seven }}", "3 4 64 7",
  "{{ 1 ~ 'a' ~ none ~ 2.0 ~ x }}", "1aNone2.0",
  "{{ 'a' ~ 1 + 'b' }}", "a1b",
}

M["comparison and logic"] = prints {
  "{{ 1 == 1.0 }} {{ 1 == '1' }} {{ true == 1 }} {{ [1] == (1,) }} {{ {'a': 1} == {'a': 1.0} }}",
  "True False True False True",
  "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'B' < 'a' }} {{ [1, 2] < [1, 3] }} {{ 2 >= 2 }} {{ 1 != 1 }}",
  "True False True True True False",
  "{{ 'x' and 0 }} {{ '' or [] or 'y' }} {{ not s }} {{ not not 1 }}", "0 y False True",
  "{{ 1 in list }} {{ 1 not in list }} {{ 'ell' in s }} {{ 'b' in d }} {{ 'x' in missing }}",
  "True False True True False",
  "{{ 'a' if zero else 'b' }}[{{ 'a' if zero }}]{{ 1 if 0 else 2 if 0 else 3 }}", "b[]3",
  "{{ missing == other }} {{ missing == none }}", "True False",
}

M["attributes and items"] = prints {
  "{{ d.b }} {{ d['a'][-1] }} {{ d.a.0 }} {{ people[1].name }}", "1 20 10 bob",
  "{{ d['items'] }} {{ d.items() | length }} {{ d['get'] is defined }}", "I 3 True",
  "[{{ missing }}][{{ d.q }}][{{ list[9] }}][{{ n.x }}][{{ s.__class__ }}]", "[][][][][]",
  "{{ list[1:] }} {{ list[::-1] }} {{ u[1:] }} {{ u[::-1] }} {{ s[-5:-1] }} {{ list[:none] }} {{ u | length }}",
  "[1, 2] [2, 1, 3] é🦙 🦙é中 Worl [3, 1, 2] 3",
}

-- Statements ----------------------------------------------------------------------------------------------------

M["if, elif, else"] = prints {
  "{% for x in [1, 2, 3] %}{% if x == 1 %}a{% elif x == 2 %}b{% else %}c{% endif %}{% endfor %}", "abc",
  "{% if false %}{{ 1 | nosuch }}{{ 1 is nosuch }}{% endif %}ok", "ok",
}

M["for"] = prints {
  "{% for x in list %}{{ loop.index }}{{ x }}{{ ',' if not loop.last }}{% else %}none{% endfor %}", "13,21,32",
  "{% for x in [] %}x{% else %}none{% endfor %}", "none",
  "{% for k, v in d.items() if v != 1 %}{{ loop.index0 }}{{ k }}={{ v }};{% endfor %}", "0a=[10, 20];1items=I;",
  "{% for x in 'ab' %}{% for y in 'cd' %}{{ loop.depth }}{{ x }}{{ y }}{% endfor %}{% endfor %}", "1ac1ad1bc1bd",
  "{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}|{% endfor %}", "<3>1|3<1>2|1<2>|",
  "{% for x in [1, 1, 2] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x) }} {% endfor %}", "aTrue bFalse aTrue ",
  "{% for x in range(9) if x != 2 %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}", "013",
  "{% for x in range(4) %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "013",
  "{% for x in [1] %}{% break %}{% else %}e{% endfor %}", "e",
  "{% for x in [[1, [[2, []]]]] recursive %}{{ x[0] }}({{ loop(x[1]) }}){% endfor %}", "1(2())",
  "{% for a, (b, c) in [(1, (2, 3))] %}{{ a + b + c }}{% endfor %}[{{ a }}]", "6[]",
  "{{ range(5, 0, -2) | list }} {{ range(3) }}", "[5, 3, 1] range(0, 3)",
}

M["set and namespace"] = prints {
  "{% set a = 1 %}{% for x in [1, 2] %}{{ a }}{% set a = a + 1 %}{{ a }} {% endfor %}{{ a }}", "12 12 1",
  "{% if yes %}{% set a = 1 %}{% endif %}{{ a }}", "1",
  "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "21",
  "{% set a | upper %}x{{ 1 }}{% endset %}[{{ a }}]", "[X1]",
  "{% set ns = namespace(n=0) %}{% for x in list %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}[{{ ns.q }}]",
  "6[]",
  "{% with a = 1, b = a %}{{ a }}[{{ b }}]{% endwith %}[{{ a }}]", "1[][]",
  "{% filter upper %}a{{ 'b' }}{% endfilter %}", "AB",
  "{% print 1, 'a' %}", "1a",
}

M["macros and callers"] = prints {
  "{% macro f(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=1, a=0) }}{{ f() }}",
  "1-2;1-3;0-1;-2;",
  "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}", "11",
  "{% macro f(n) %}{{ n }}{% if n %},{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "3,2,1,0",
  "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, *[2], x=3, **{'y': 4}) }}", "(1, 2){'x': 3, 'y': 4}",
  "{% macro f() %}{{ h }}{% endmacro %}{% set h = 2 %}{{ f() }}{% for h in [3] %}{{ f() }}{% endfor %}", "22",
  "{% macro box(t) %}<{{ t }}>{{ caller(1) }}</{{ t }}>{% endmacro %}{% call(x) box('b') %}in{{ x }}{% endcall %}",
  "<b>in1</b>",
  "{% macro f(a) %}{% endmacro %}{{ f.name }} {{ f.arguments }} {{ f.caller }}", "f ('a',) False",
}

M["generation blocks note their places"] = function()
  local template = t.ok(jinja.compile "é{% for x in 'ab' %}{% generation %}{{ x }}🦙{% endgeneration %}-{% endfor %}")
  local done = t.ok(template:render {})
  t.eq(done.text, "éa🦙-b🦙-")
  t.eq(done.generations, { { 1, 3 }, { 4, 6 } })
end

-- Filters, tests, methods ---------------------------------------------------------------------------------------

M["filters on text"] = prints {
  "{{ ' a ' | trim }}{{ 'xax' | trim('x') }} {{ s | upper }} {{ s | lower }} {{ 'aB' | capitalize }}",
  "aa HELLO WORLD hello world Ab",
  "{{ \"it's a-b x_y\" | title }} {{ \"it's\".title() }} {{ 'ß ﬁ ΑΣ' | upper }} {{ 'ΑΣ İ' | lower }}",
  "It's A-B X_y It'S SS FI ΑΣ ας i̇",
  "{{ s | replace('o', '0', 1) }} {{ 'a' | center(5) }}| {{ 'a\nb' | indent(2, true) }}",
  "Hell0 World   a  |   a\n  b",
  "{{ 'hello big world' | truncate(9) }} {{ 'a b  c' | wordcount }} {{ 'aa bb cc' | wordwrap(5) }}",
  "hello... 3 aa bb\ncc",
  "{{ '<&>' | e }} {{ '<b>' | safe }} {{ ('<' | e) + '<' }} {{ '<p>x &amp; y</p>' | striptags }}",
  "&lt;&amp;&gt; <b> &lt;&lt; x & y",
  "{{ 'a b/é' | urlencode }} {{ {'a': '&'} | urlencode }} {{ '%s-%03d' | format('a', 7) }}",
  "a%20b/%C3%A9 a=%26 a-007",
  "{{ '{:>4}|{:.2f}|{x!r}|{:,}'.format('a', 2.345, 1234567, x='q') }}", "   a|2.35|'q'|1,234,567",
  "{{ '%5.1f|%-4d|%x|%%' % (2.25, 7, 255) }}", "  2.2|7   |ff|%",
  "{{ 5 | string + 'x' }} {{ '12' | int }} {{ 'x' | int(7) }} {{ '0x1F' | int(base=16) }} {{ '2.50' | float }}",
  "5x 12 7 31 2.5",
  "{{ 2.5 | round }} {{ 2.567 | round(2) }} {{ 2.1 | round(method='ceil') }} {{ 1250 | round(-2) }}",
  "2.0 2.57 3.0 1200",
  "{{ 1500000 | filesizeformat }} {{ 2048 | filesizeformat(true) }}", "1.5 MB 2.0 KiB",
}

M["filters on lists"] = prints {
  "{{ list | length }} {{ list | first }} {{ list | last }} {{ list | sort }} {{ list | reverse | list }}",
  "3 3 2 [1, 2, 3] [2, 1, 3]",
  "{{ list | join('-') }} {{ people | join('/', attribute='name') }}", "3-1-2 Ann/bob/Cyd",
  "{{ list | sum }} {{ list | min }} {{ list | max }}", "6 1 3",
  "{{ people | map(attribute='name') | list }} {{ ['a'] | map('upper') | list }}", "['Ann', 'bob', 'Cyd'] ['A']",
  "{{ people | map(attribute='x', default=0) | list }}", "[0, 0, 0]",
  "{{ list | select('odd') | list }} {{ list | reject('odd') | list }} {{ [0, 'a'] | select | list }}",
  "[3, 1] [2] ['a']",
  "{{ people | selectattr('age', 'equalto', 31) | map(attribute='name') | join }}", "AnnCyd",
  "{{ people | rejectattr('age', 'gt', 9) | list | length }}", "1",
  "{{ people | sort(attribute='age,name', reverse=true) | map(attribute='name') | join(' ') }}", "Cyd Ann bob",
  "{{ ['a', 'A', 'b'] | unique | list }} {{ {'b': 1, 'A': 2} | dictsort }} {{ d | items | list | length }}",
  "['a', 'b'] [('A', 2), ('b', 1)] 3",
  "{% for a, xs in people | groupby('age') %}{{ a }}:{{ xs | map(attribute='name') | join(',') }};{% endfor %}",
  "7:bob;31:Ann,Cyd;",
  "{{ range(5) | batch(2, 0) | list }} {{ range(5) | slice(2) | list }}",
  "[[0, 1], [2, 3], [4, 0]] [[0, 1, 2], [3, 4]]",
  "{{ missing | default('x') }} {{ n | default('x') }} {{ n | d('x', true) }}", "x None x",
  "{% set g = list | map('string') %}{{ g | first }}{{ g | list }}{{ g | list }}", "3['1', '2'][]",
  "{{ 0 | map('string') | list }} {{ none | selectattr('x') | list }}", "[] []",
}

M["tojson"] = prints {
  "{{ d | tojson }}", [[{"b": 1, "a": [10, 20], "items": "I"}]],
  "{{ [1, 1.0, true, none, 'é\"\\n', [], {}] | tojson }}", [==[[1, 1.0, true, null, "é\"\n", [], {}]]==],
  "{{ {'a': [1], 'b': {}} | tojson(indent=2) }}", '{\n  "a": [\n    1\n  ],\n  "b": {}\n}',
  "{{ {'b': 1, 'a': 'é🦙'} | tojson(sort_keys=true, ensure_ascii=true, separators=(',', ':')) }}",
  [[{"a":"\u00e9\ud83e\udd99","b":1}]],
}

M["tests"] = prints {
  "{{ s is defined }} {{ x is undefined }} {{ n is none }} {{ yes is boolean }} {{ yes is true }} {{ 0 is false }}",
  "True True True True True False",
  "{{ 1 is integer }} {{ 1.0 is float }} {{ true is number }} {{ true is integer }}", "True True True False",
  "{{ s is string }} {{ d is mapping }} {{ list is sequence }}", "True True True",
  "{{ 5 is iterable }} {{ range is callable }} {{ 4 is even }} {{ 3 is odd }}", "False True True True",
  "{{ 6 is divisibleby 3 }} {{ 'A' is upper }} {{ 'Ab' is lower }}", "True True False",
  "{{ 1 is eq 1 }} {{ 1 is lt 2 }} {{ 1 is in [1] }} {{ 1 is sameas 1.0 }} {{ 3 is not odd }} {{ 'trim' is filter }}",
  "True True True False False True",
}

M["methods"] = prints {
  "{{ ' a '.strip() }}{{ 'xa'.lstrip('x') }}{{ 'ax'.rstrip('x') }} {{ 'a,b'.split(',') }} {{ ' a  b '.split() }}",
  "aaa ['a', 'b'] ['a', 'b']",
  "{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a\r\nb'.splitlines() }} {{ 'a-b'.partition('-') }} {{ ', '.join(['a', 'b']) }}",
  "['a,b', 'c'] ['a', 'b'] ('a', '-', 'b') a, b",
  "{{ s.startswith('He') }} {{ s.endswith(('x', 'd')) }} {{ u.find('🦙') }} {{ s.rfind('o') }} {{ s.count('l') }}",
  "True True 2 7 3",
  "{{ 'abc'.removeprefix('a') }} {{ '7'.zfill(3) }} {{ 'a'.ljust(3, '.') }} {{ 'aB'.swapcase() }} {{ '²'.isdigit() }}",
  "bc 007 a.. Ab True",
  "{{ d.get('b') }} {{ d.get('q', 9) }} {{ d.keys() | list }} {{ d.values() | list }}",
  "1 9 ['b', 'a', 'items'] [1, [10, 20], 'I']",
  "{{ list.index(2) }} {{ list.count(1) }}", "2 1",
}

M["global functions"] = prints {
  "{{ dict(a=1, b='x') }} {{ namespace({'a': 1}).a }}", "{'a': 1, 'b': 'x'} 1",
  "{% set j = joiner(', ') %}{% for x in list %}{{ j() }}{{ x }}{% endfor %}", "3, 1, 2",
  "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}", "abab",
}

M["the clock is the caller's"] = function()
  local now = "2025-01-05T09:05:03"
  t.eq(render("{{ strftime_now('%Y-%m-%d %H:%M:%S %A %d %B %j %p %I %y %-d') }}", {}, now),
    "2025-01-05 09:05:03 Sunday 05 January 005 AM 09 25 5")
  t.eq(render("{{ strftime_now('%G-W%V-%u %U %W %e %b %c %%') }}", {}, now),
    "2025-W01-7 01 00  5 Jan Sun Jan  5 09:05:03 2025 %")
  t.eq(render("{{ strftime_now('%Y') }}", {}, os.time()), os.date "%Y")
  local _, err = render("{{ strftime_now('%Y') }}", {}, "yesterday")
  t.eq(err.class, "ValueError")
end

-- Errors --------------------------------------------------------------------------------------------------------

M["errors of syntax"] = fails {
  "{% if yes %}x", "TemplateSyntaxError", "Unexpected end of template.*'elif' or 'else' or 'endif'.*'if'",
  "{% frobnicate %}", "TemplateSyntaxError", "Encountered unknown tag 'frobnicate'",
  "{% endfor %}", "TemplateSyntaxError", "unknown tag 'endfor'",
  "{{ 1 ", "TemplateSyntaxError", "unexpected end of template",
  "{{ 1 + }}", "TemplateSyntaxError", "unexpected 'end of print statement'",
  "{{ (1] }}", "TemplateSyntaxError", "unexpected '%]'",
  "{{ 'x }}", "TemplateSyntaxError", "unexpected char",
  "{{ '\\xZZ' }}", "TemplateSyntaxError", "truncated escape",
  "{# c", "TemplateSyntaxError", "end of comment",
  "{% raw %}", "TemplateSyntaxError", "end of raw",
  "{% set true = 1 %}", "TemplateSyntaxError", "can't assign to 'const'",
  "{% macro f(a=1, b) %}{% endmacro %}", "TemplateSyntaxError", "non%-default",
  "{% break %}", "TemplateSyntaxError", "outside of a loop",
  "{{ 1 | nosuch }}", "TemplateSyntaxError", "No filter named 'nosuch'",
  "{{ 1 is nosuch }}", "TemplateSyntaxError", "No test named 'nosuch'",
  "{% include 'x' %}", "TemplateSyntaxError", "no other templates",
  "{{ " .. ("("):rep(400), "TemplateSyntaxError", "nested more than",
}

M["errors of values"] = fails {
  "{{ 'a' + 1 }}", "TypeError", 'can only concatenate str %(not "int"%) to str',
  "{{ 1 + 'a' }}", "TypeError", "unsupported operand",
  "{{ 'a' + missing }}", "UndefinedError", "'missing' is undefined",
  "{{ missing.x }}", "UndefinedError", "'missing' is undefined",
  "{{ d.q.x }}", "UndefinedError", "'dict object' has no attribute 'q'",
  "{{ n.strip() }}", "UndefinedError", "'None' has no attribute 'strip'",
  "{% for x in 5 %}{% endfor %}", "TypeError", "'int' object is not iterable",
  "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "ValueError", "too many values",
  "{{ 1 in 5 }}", "TypeError", "not iterable",
  "{{ 'a' < 1 }}", "TypeError", "not supported between",
  "{{ 5 | length }}", "TypeError", "has no len",
  "{{ 1 // 0 }}", "ZeroDivisionError", "zero",
  "{{ 9223372036854775807 + 1 }}", "OverflowError", "64 bits",
  "{{ 'a' * 999999999999 }}", "MemoryError", "repetition",
  "{{ 'a'.split('') }}", "ValueError", "empty separator",
  "{{ s.replace('l') }}", "TypeError", "missing its argument 'new'",
  "{{ s.upper(1) }}", "TypeError", "at most 0",
  "{{ list.append(4) }}", "SecurityError", "'append' of 'list' object is unsafe",
  "{{ s.__class__.__mro__ }}", "SecurityError", "unsafe",
  "{% set d.x = 1 %}", "TemplateRuntimeError", "non%-namespace",
  "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "TypeError", "not more than 1",
  "{% macro f(a) %}{% endmacro %}{{ f(z=1) }}", "TypeError", "no keyword argument 'z'",
  "{{ missing | tojson }}", "TypeError", "not JSON serializable",
  "{{ range(1000000) }}", "OverflowError", "range too big",
  "{{ s() }}", "TypeError", "not callable",
  "{{ raise_exception('no ' + s) }}", "TemplateError", "^no Hello World$",
}

M["endless recursion is an error"] = fails {
  "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "RecursionError", "deep",
  "{% for x in list recursive %}{{ loop(list) }}{% endfor %}", "RecursionError", "deep",
}

M["widths and texts that would fill the memory or are no text"] = fails {
  "{{ 'a'.ljust(10000000) }}", "MemoryError", "width",
  "{{ '%.200f' % 1.0 }}", "ValueError", "precision",
  "{{ '%c' % 99999999999 }}", "OverflowError", "range",
  "{{ x \xff }}", "ValueError", "not valid UTF%-8",
  "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
  "RecursionError", "nested too deep",
}

M["errors name the line"] = function()
  local _, err = render "a\n\n{% if yes %}\n{{ 'a' + 1 }}{% endif %}"
  t.eq(tostring(err), 'line 4: TypeError: can only concatenate str (not "int") to str')
  _, err = render "a\n{{ 1 + }}"
  t.eq(err.line, 2)
end

-- Values from Lua -----------------------------------------------------------------------------------------------

M["Lua's tables become lists and dicts"] = function()
  local function show(v) return (render("{{ v }}", { v = v })) end
  t.eq(show { 1, 2.0, "a", true }, "[1, 2.0, 'a', True]")
  t.eq(show { b = 1, a = {} }, "{'a': {}, 'b': 1}")
  t.eq(show(sq.json.array {}), "[]")
  t.eq(show(t.ok(sq.json.decode '{"z": null, "a": [[], {}, 1, 1.0, 9223372036854775807]}')),
    "{'z': None, 'a': [[], {}, 1, 1.0, 9223372036854775807]}")
end

M["what is no data is refused"] = function()
  local cyclic = {}
  cyclic.self = cyclic
  for _, case in ipairs {
    { print, "TypeError" }, { { 1, 2, x = 3 }, "TypeError" }, { cyclic, "RecursionError" }, { "\xff", "ValueError" },
  } do
    local text, err = render("{{ v }}", { v = case[1] })
    t.eq(text, nil)
    t.eq(err.class, case[2])
  end
end

M["an error that is not the template's goes on"] = function()
  local template = t.ok(jinja.compile "{{ x }}")
  local mark = {}
  t.ok(not pcall(template.render, template, setmetatable({}, { __pairs = function() error(mark) end })))
end

return M

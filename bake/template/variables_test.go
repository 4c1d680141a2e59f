package template

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// declare is a template with one variable, shown as JSON in an annotation.
func declare(body string) string {
	return "project = \"acme\"\nvariable \"v\" {\n" + body + "\n}\nimage \"a\" {\n  annotations = { v = jsonencode(var.v) }\n}\n"
}

// Type expressions run on a fork of go-cty: every kind of them is here.
func TestVariableTypes(t *testing.T) {
	for _, c := range []struct{ body, given, want string }{
		{`type = string`, `true`, `"true"`},
		{`type = number`, `8080`, `8080`},
		{`type = number`, `1e3`, `1000`},
		{`type = bool`, `true`, `true`},
		{`type = any`, `[1, "a"]`, `[1,"a"]`},
		{`type = list(string)`, `["a", 1]`, `["a","1"]`},
		{`type = list(number)`, `["1", 2]`, `[1,2]`},
		{`type = set(string)`, `["b", "a", "b"]`, `["a","b"]`},
		{`type = map(number)`, `{ a = 1, "b" = "2" }`, `{"a":1,"b":2}`},
		{`type = map(list(bool))`, `{ a = [true] }`, `{"a":[true]}`},
		{`type = tuple([string, number])`, `["a", 1]`, `["a",1]`},
		{`type = object({ a = string, b = list(number) })`, `{ a = "x", b = [1] }`, `{"a":"x","b":[1]}`},
		{`type = object({ a = string, b = optional(number) })`, `{ a = "x" }`, `{"a":"x","b":null}`},
		{`type = object({ a = string, b = optional(number, 7) })`, `{ a = "x" }`, `{"a":"x","b":7}`},
		{`type = list(object({ a = optional(string, "d") }))`, `[{}, { a = "e" }]`, `[{"a":"d"},{"a":"e"}]`},
		{`type = map(object({ a = optional(map(string), { x = "y" }) }))`, `{ k = {} }`, `{"k":{"a":{"x":"y"}}}`},
		{`default = 1`, `2`, `2`},
		{`default = true`, `false`, `false`},
		{`default = "a"`, `[1]`, `"[1]"`},
		{`default = ["a"]`, `["b", "c"]`, `["b","c"]`},
		{`default = null`, `text`, `"text"`},
		{``, `text`, `"text"`},
	} {
		r := load(t, declare(c.body), Options{Vars: map[string]string{"v": c.given}})
		if got := r.Images[0].Annotations["v"]; got != c.want {
			t.Errorf("%s = %s: got %s, want %s", c.body, c.given, got, c.want)
		}
	}
}

func TestVariableDefaults(t *testing.T) {
	for body, want := range map[string]string{
		`default = "a"`:                      `"a"`,
		`default = null`:                     `null`,
		"type = number\ndefault = \"7\"":     `7`,
		"type = list(string)\ndefault = [1]": `["1"]`,
		"type = object({ a = optional(number, 3) })\ndefault = {}":                           `{"a":3}`,
		`default = { a = [1, { b = true }] }`:                                                `{"a":[1,{"b":true}]}`,
		"default = 8080\nvalidation {\ncondition = var.v > 1024\nerror_message = \"low\"\n}": `8080`,
	} {
		r := load(t, declare(body), Options{})
		if got := r.Images[0].Annotations["v"]; got != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
}

func TestVariableErrors(t *testing.T) {
	for name, c := range map[string]struct{ body, given, want string }{
		"no value":       {``, ``, `kiln.hcl:2: variable "v": has no value (give --var v=… or KILN_VAR_v, or a default)`},
		"no number":      {`type = number`, `a`, `kiln.hcl:2: variable "v": the given value: a number is required`},
		"no list":        {`type = list(string)`, `a`, `kiln.hcl:2: variable "v": the given value is no constant`},
		"broken list":    {`type = list(string)`, `["a"`, `kiln.hcl:2: variable "v": the given value is no list(string) (write it as in a template, as ["a", "b"] or { a = "b" })`},
		"deep":           {`type = any`, strings.Repeat("[", 200), `kiln.hcl:2: variable "v": the given value is no any (write it as in a template, as ["a", "b"] or { a = "b" })`},
		"missing field":  {`type = object({ a = string })`, `{}`, `kiln.hcl:2: variable "v": the given value: attribute "a" is required`},
		"function":       {`type = list(string)`, `[file("x")]`, `kiln.hcl:2: variable "v": the given value is no constant`},
		"unknown type":   {"type = text\ndefault = 1", ``, `kiln.hcl:3: variable "v": invalid type specification: the keyword "text" is not a valid type specification`},
		"bad default":    {"type = number\ndefault = \"a\"", ``, `kiln.hcl:4: variable "v": default: a number is required`},
		"default refers": {`default = local.a`, ``, `kiln.hcl:3: variable "v": local cannot be used here`},
		"unknown":        {"default = 1\ndescripton = \"x\"", ``, `kiln.hcl:4: variable "v": unknown attribute "descripton" (did you mean "description"?)`},
		"invalid":        {"validation {\ncondition = var.v != \"x\"\nerror_message = \"must not be x\"\n}", `x`, `kiln.hcl:3: variable "v": must not be x`},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{}
			if c.given != "" {
				opts.Vars = map[string]string{"v": c.given}
			}
			refuse(t, declare(c.body), opts, c.want)
		})
	}
	t.Run("undeclared", func(t *testing.T) {
		refuse(t, declare(`default = 1`), Options{Vars: map[string]string{"vv": "1"}}, `kiln.hcl: there is no variable "vv" to set (did you mean "v"?)`)
	})
	t.Run("twice", func(t *testing.T) {
		text := "project = \"acme\"\nvariable \"v\" { default = 1 }\nvariable \"v\" { default = 1 }\nimage \"a\" {}\n"
		refuse(t, text, Options{}, `kiln.hcl:3: variable "v": declared twice`)
	})
}

func TestVariableSources(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"KILN_VAR_v": "env", "KILN_VAR_other": "ignored"}[name]
	}
	r := load(t, declare(`default = "default"`), Options{Env: env})
	if got := r.Images[0].Annotations["v"]; got != `"env"` {
		t.Errorf("the environment gives %s", got)
	}
	r = load(t, declare(`default = "default"`), Options{Env: env, Vars: map[string]string{"v": "flag"}})
	if got := r.Images[0].Annotations["v"]; got != `"flag"` {
		t.Errorf("flag and environment give %s", got)
	}
	r = load(t, declare(`default = "default"`), Options{Vars: map[string]string{"v": ""}})
	if got := r.Images[0].Annotations["v"]; got != `""` {
		t.Errorf("an empty flag gives %s", got)
	}
}

// A text from outside is that text, whatever it looks like (fault 30).
func TestVariableTextIsLiteral(t *testing.T) {
	for _, text := range []string{`a"b`, "a\nb", `${file("kiln.hcl")}`, `%{ if true }x%{ endif }`, `\n`, `"`, `"]`, "'", "$(id)", "`id`", "\u202e", "$${a}"} {
		source := "project = \"acme\"\nvariable \"v\" {}\nimage \"a\" {\n run {\n command = [\"echo\", var.v]\n env = { V = var.v }\n }\n config {\n env = { V = \"<${var.v}>\" }\n }\n}\n"
		r := load(t, source, Options{Vars: map[string]string{"v": text}})
		run := r.Images[0].Steps[0].(*Run)
		if run.Command[1] != text || run.Env["V"] != text || r.Images[0].Config.Env["V"] != "<"+text+">" {
			t.Errorf("%q became %q, %q, %q", text, run.Command[1], run.Env["V"], r.Images[0].Config.Env["V"])
		}
	}
}

func TestSensitive(t *testing.T) {
	const secret = "hunter2-s3cret"
	source := func(image string) string {
		return "project = \"acme\"\nvariable \"token\" {\n  sensitive = true\n}\nlocals {\n  header = \"Bearer ${var.token}\"\n}\nimage \"a\" {\n" + image + "\n}\n"
	}
	opts := Options{Vars: map[string]string{"token": secret}}
	r := load(t, source(`run {
		command = ["fetch"]
		env     = { TOKEN = var.token, HEADER = local.header, HOME = "/root" }
	}`), opts)
	run := r.Images[0].Steps[0].(*Run)
	if run.Env["TOKEN"] != secret || run.Env["HEADER"] != "Bearer "+secret || run.Env["HOME"] != "/root" {
		t.Errorf("env is %q", run.Env)
	}
	if !slices.Equal(run.Secret, []string{"HEADER", "TOKEN"}) {
		t.Errorf("secret are %q", run.Secret)
	}
	for name, image := range map[string]string{
		"env of config": `config { env = { TOKEN = var.token } }`,
		"label":         `config { labels = { t = local.header } }`,
		"command":       `run { command = ["fetch", var.token] }`,
		"annotation":    `annotations = { t = sha256(var.token) }`,
		"packages":      `packages = [var.token]`,
		"from":          `from = var.token`,
		"for_each":      `for_each = toset([var.token])`,
		"version":       `version = var.token == "x" ? "1" : "2"`,
		"source":        "copy {\nsource = var.token\ntarget = \"/\"\n}",
		"file":          `run {` + "\n" + `command = ["a"]` + "\n" + `env = { A = file(var.token) }` + "\n}",
		"regex":         `run {` + "\n" + `command = ["a"]` + "\n" + `env = { A = regex("(${var.token}", "x") }` + "\n}",
		"number":        `run {` + "\n" + `command = ["a"]` + "\n" + `env = { A = var.token + 1 }` + "\n}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(tree(t, map[string]string{FileName: source(image)}), opts)
			if err == nil {
				t.Fatal("was loaded")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret stands in: %v", err)
			}
		})
	}
}

func TestSecretsStayOutOfValidationMessages(t *testing.T) {
	source := "project = \"acme\"\nvariable \"t\" {\n sensitive = true\n validation {\n condition = length(var.t) > 99\n error_message = \"too short: ${var.t}\"\n }\n}\nimage \"a\" {}\n"
	_, err := Load(tree(t, map[string]string{FileName: source}), Options{Vars: map[string]string{"t": "hunter2"}})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func ExampleLoad() {
	_, err := Load("../../testdata/shop", Options{Vars: map[string]string{"verison": "1.5.0"}})
	fmt.Println(err)
	// Output: kiln.hcl: there is no variable "verison" to set (did you mean "version"?)
}

package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"tutti/privacy/audit"
)

// schemaID names the schema; it is a name and no address.
const schemaID = "urn:tutti:report:v2"

// Patterns of the strings that carry numbers.
const (
	patternDecimal  = `^-?[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?$`
	patternMaybe    = `^(-?[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?)?$`
	patternEpsilon  = `^([0-9]+\.[0-9]{4}|unbounded)$`
	patternRational = `^[0-9]+/[0-9]+$`
	patternMaybeRat = `^([0-9]+/[0-9]+)?$`
	patternHash     = `^[0-9a-f]{64}$`
	patternSignHex  = `^[0-9a-f]{128}$`
)

// patterns are the fields whose strings have a form, by type and field.
var patterns = map[string]string{
	"Task.Delta": patternDecimal, "Task.Budget": patternMaybeRat,
	"Claim.Rho": patternRational, "Claim.RhoDecimal": patternDecimal, "Claim.Mu": patternDecimal,
	"Epsilon.Delta": patternDecimal, "Epsilon.Epsilon": patternEpsilon, "Point.Delta": patternDecimal, "Point.Epsilon": patternEpsilon,
	"PLD.Delta": patternDecimal, "PLD.Epsilon": patternEpsilon, "PLD.Interval": patternDecimal,
	"Tradeoff.FPR": patternDecimal, "Tradeoff.TPR": patternDecimal, "Tradeoff.Gaussian": patternDecimal,
	"Lone.Rho": patternDecimal, "Lone.Delta": patternDecimal, "Lone.Epsilon": patternEpsilon,
	"Accounting.Rho": patternRational, "Spent.Rho": patternRational, "Spent.Share": patternDecimal,
	"Round.Rho": patternMaybeRat, "Round.Sigma2": patternRational, "Round.EpsTotal": patternEpsilon, "Round.MeterZ": patternMaybe,
	"Round.Before": patternHash, "Round.After": patternHash, "Round.Sum": patternHash, "Round.Cert": patternHash, "Round.Set": patternHash,
	"Group.Sum": patternHash, "Group.Cert": patternHash, "Group.Set": patternHash,
	"Metric.Value": patternDecimal, "Metric.Low": patternMaybe, "Metric.High": patternMaybe,
	"TelemetryRow.Value": patternDecimal, "TelemetryRow.Low": patternDecimal, "TelemetryRow.High": patternDecimal,
	"Value.Value": patternMaybe, "Value.Low": patternMaybe, "Value.High": patternMaybe,
	"Transparency.Operator": patternHash, "Transparency.Root": patternHash, "Signature.Key": patternHash, "Signature.Sig": patternSignHex,
	"AuditSection.Commit": `^([0-9a-f]{64})?$`,
}

// choices are the fields that hold one of a few words.
var choices = map[string][]string{
	"Report.Schema": {Schema}, "Report.Privacy": {PrivacyOn, PrivacyCentral, PrivacyOff}, "Claim.View": {ViewServer, ViewReleased},
	"Assumption.Status": {statusForced, statusTaken, statusNot}, "Round.Outcome": {"published", "lost"}, "Round.Central": {"", "gaussian", "blt"},
	"Group.Outcome": {"published", "lost", "abandoned"}, "Check.Can": {"yes", "no", "partly"}, "Signature.Alg": {"ed25519"},
	"AuditSection.Schema":  {audit.Schema},
	"AuditSection.Verdict": {audit.VerdictPass, audit.VerdictFail, audit.VerdictInconclusive, audit.VerdictInfo, audit.VerdictBroken},
}

// notes are descriptions of fields that a reader may take for something else.
var notes = map[string]string{
	"Report.Setting": "declared by the operator, not derived from the log", "Report.Utility": "declared by the operator",
	"Claim.Rho": "exact fraction, zCDP", "Claim.Rounds": "rounds that the claim is about",
	"Tradeoff.TPR":        "largest true-positive rate of any membership test at this false-positive rate, by zCDP",
	"Round.Rho":           "exact fraction; empty: the devices added no noise and the server none",
	"Signature.Sig":       "over the canonical report (RFC 8785) with an empty sig, behind a domain string",
	"Report.Privacy":      "CENTRAL: the server was trusted to add the noise; OFF: at least one round had none, and nothing is claimed",
	"PLD.Informative":     "always true: the claim is eps_delta",
	"AuditSection.Scores": "one per canary or round: values and verdict follow from them",
	"AuditSection.Commit": "SHA-256 over inputs and seed, fixed before the run",
	"Round.EpsTotal":      "of the dearest device so far, at the task's delta",
	"Metric.Value":        "mean over the devices of the round's sum, with their noise",
	"Transparency.Root":   "RFC 6962 tree hash of the log",
}

// generateSchema derives the schema from the types of the report.
func generateSchema() ([]byte, error) {
	g := generator{map[string]any{}, map[string]bool{}}
	top := g.object(reflect.TypeFor[Report]())
	top["$schema"], top["$id"] = "https://json-schema.org/draft/2020-12/schema", schemaID
	top["title"] = "Privacy report of a task"
	top["description"] = "One line of canonical JSON (RFC 8785). All quantities are strings: rho is an exact fraction, everything else a decimal."
	top["$defs"] = g.defs
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(top)
	return out.Bytes(), err
}

type generator struct {
	defs map[string]any
	used map[string]bool // fields seen, as type and name
}

func (g generator) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		field := g.schema(f.Type)
		key := typeName(t) + "." + f.Name
		g.used[key] = true
		if p := patterns[key]; p != "" {
			field["pattern"] = p
		}
		if c := choices[key]; c != nil {
			field["enum"] = c
		}
		if n := notes[key]; n != "" {
			field["description"] = n
		}
		properties[name] = field
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	sort.Strings(required)
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func (g generator) schema(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.schema(t.Elem())}
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{g.schema(t.Elem()), map[string]any{"type": "null"}}}
	case reflect.Struct:
		name := typeName(t)
		if _, known := g.defs[name]; !known {
			g.defs[name] = nil // holds the place while its fields are visited
			g.defs[name] = g.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	}
	panic(fmt.Sprintf("report: a field of type %s in the schema", t))
}

// typeName tells the audits' types from the report's.
func typeName(t reflect.Type) string {
	if t.PkgPath() == reflect.TypeFor[audit.Section]().PkgPath() {
		return "Audit" + t.Name()
	}
	return t.Name()
}

var update = flag.Bool("update", false, "write report.schema.json")

// TestSchemaInStep: the published file is the one that the types give.
func TestSchemaInStep(t *testing.T) {
	want, err := generateSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		writeFile(t, "report.schema.json", want)
		return
	}
	if !bytes.Equal(want, JSONSchema()) {
		t.Error("report.schema.json is not what the types give: go test ./privacy/report -run TestSchemaInStep -update")
	}
	used := map[string]bool{}
	generator{map[string]any{}, used}.object(reflect.TypeFor[Report]())
	for _, table := range []map[string]bool{keys(patterns), keys(choices), keys(notes)} {
		for key := range table {
			if !used[key] {
				t.Errorf("no field %s", key)
			}
		}
	}
}

func keys[V any](m map[string]V) map[string]bool {
	out := map[string]bool{}
	for k := range m {
		out[k] = true
	}
	return out
}

// TestReportsFitTheSchema: reports of every shape fit, and a report with a field more, less or of another form does not.
func TestReportsFitTheSchema(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(JSONSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	v := validator{schema["$defs"].(map[string]any)}
	empty := newWorld(t)
	in, _ := empty.input()
	in.Utility = nil
	bare := signed(t, 1, built(t, in))
	full := honest(t).report
	for name, report := range map[string][]byte{"full": full, "bare": bare} {
		if err := v.check("report", schema, parsed(t, report)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(map[string]any){
		"field more":   func(r map[string]any) { r["extra"] = "x" },
		"field less":   func(r map[string]any) { delete(r, "alarms") },
		"deep less":    func(r map[string]any) { delete(r["claims"].([]any)[0].(map[string]any), "rho") },
		"number":       func(r map[string]any) { r["privacy"] = 1.0 },
		"word":         func(r map[string]any) { r["privacy"] = "perfect" },
		"pattern":      func(r map[string]any) { r["accounting"].(map[string]any)["rho"] = "0.5" },
		"negative":     func(r map[string]any) { r["dropout"].(map[string]any)["rounds"] = -1.0 },
		"null":         func(r map[string]any) { r["claims"] = nil },
		"wrong pld":    func(r map[string]any) { r["claims"].([]any)[0].(map[string]any)["pld"] = "none" },
		"fraction":     func(r map[string]any) { r["dropout"].(map[string]any)["rounds"] = 1.5 },
		"other schema": func(r map[string]any) { r["schema"] = "tutti.report/v1" },
	} {
		r := parsed(t, full).(map[string]any)
		change(r)
		if v.check("report", schema, r) == nil {
			t.Errorf("%s: fits the schema", name)
		}
	}
}

func parsed(t *testing.T, data []byte) any {
	t.Helper()
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// validator knows the words of JSON Schema that report.schema.json uses, and refuses all others.
type validator struct{ defs map[string]any }

func (v validator) check(at string, schema map[string]any, value any) error {
	for word, rule := range schema {
		if err := v.word(at, schema, word, rule, value); err != nil {
			return err
		}
	}
	return nil
}

func (v validator) word(at string, schema map[string]any, word string, rule, value any) error {
	object, _ := value.(map[string]any)
	switch word {
	case "$schema", "$id", "$defs", "title", "description", "additionalProperties":
		return nil
	case "$ref":
		return v.check(at, v.defs[strings.TrimPrefix(rule.(string), "#/$defs/")].(map[string]any), value)
	case "type":
		return v.kind(at, rule.(string), value)
	case "properties":
		properties := rule.(map[string]any)
		for name, x := range object {
			field, ok := properties[name].(map[string]any)
			if !ok && schema["additionalProperties"] == false {
				return fmt.Errorf("%s: unknown field %s", at, name)
			}
			if err := v.check(at+"."+name, field, x); err != nil {
				return err
			}
		}
	case "required":
		for _, name := range rule.([]any) {
			if _, ok := object[name.(string)]; !ok {
				return fmt.Errorf("%s: no field %s", at, name)
			}
		}
	case "items":
		list, _ := value.([]any)
		for i, x := range list {
			if err := v.check(fmt.Sprintf("%s[%d]", at, i), rule.(map[string]any), x); err != nil {
				return err
			}
		}
	case "pattern":
		if s, ok := value.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(s) {
			return fmt.Errorf("%s: %q does not match %s", at, s, rule)
		}
	case "enum":
		if !slices.Contains(rule.([]any), value) {
			return fmt.Errorf("%s: %v is none of %v", at, value, rule)
		}
	case "minimum":
		if x, ok := value.(float64); ok && x < rule.(float64) {
			return fmt.Errorf("%s: %v is below %v", at, x, rule)
		}
	case "anyOf":
		for _, option := range rule.([]any) {
			if v.check(at, option.(map[string]any), value) == nil {
				return nil
			}
		}
		return fmt.Errorf("%s: fits no choice", at)
	default:
		return fmt.Errorf("%s: the schema uses %q", at, word)
	}
	return nil
}

func (v validator) kind(at, want string, value any) error {
	have := "null"
	switch x := value.(type) {
	case string:
		have = "string"
	case bool:
		have = "boolean"
	case []any:
		have = "array"
	case map[string]any:
		have = "object"
	case float64:
		have = "number"
		if x == math.Trunc(x) {
			have = "integer"
		}
	}
	if have != want {
		return fmt.Errorf("%s: a %s, not a %s", at, have, want)
	}
	return nil
}

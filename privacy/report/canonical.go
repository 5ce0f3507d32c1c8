package report

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxBytes bounds report.json.
const MaxBytes = 64 << 20

// signatureDomain separates a report's signature from every other use of the operator's key.
const signatureDomain = "tutti/report/v2/signature\x00"

// canonical is the report in RFC 8785 form: sorted names, no white space, no floats. Go's encoder and the RFC spell two
// characters differently, U+2028 and U+2029, so text that holds them is refused.
func canonical(r *Report) ([]byte, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(plain) || bytes.Contains(plain, []byte(`\u202`)) || bytes.Contains(plain, []byte(`\ufffd`)) {
		return nil, errors.New("text is not UTF-8, or holds a line or paragraph separator")
	}
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil { // maps come out sorted by name
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Sign returns report.json: the canonical report with the operator's signature, and a line's end.
func Sign(operator ed25519.PrivateKey, r *Report) ([]byte, error) {
	if len(operator) != ed25519.PrivateKeySize {
		return nil, errors.New("report: bad operator key")
	}
	r.Signature = Signature{Alg: "ed25519", Key: hex.EncodeToString(operator.Public().(ed25519.PublicKey))}
	body, err := canonical(r)
	if err != nil {
		return nil, err
	}
	r.Signature.Sig = hex.EncodeToString(ed25519.Sign(operator, append([]byte(signatureDomain), body...)))
	body, err = canonical(r)
	return append(body, '\n'), err
}

// Parse reads report.json and refuses anything but the canonical form; the signature is for Verify.
func Parse(data []byte) (*Report, error) {
	if len(data) > MaxBytes {
		return nil, fail(ReasonForm, "the report is larger than %d bytes", MaxBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	r := new(Report)
	if err := dec.Decode(r); err != nil {
		return nil, fail(ReasonForm, "not a report: %v", err)
	}
	if r.Schema != Schema {
		return nil, fail(ReasonForm, "schema %q, this program reads %q", r.Schema, Schema)
	}
	again, err := canonical(r)
	if err != nil {
		return nil, fail(ReasonForm, "%v", err)
	}
	if string(again) != strings.TrimSuffix(string(data), "\n") || !bytes.HasSuffix(data, []byte("\n")) {
		return nil, fail(ReasonForm, "the file is not in canonical form: someone edited or re-formatted it")
	}
	return r, nil
}

// checkSignature verifies the operator's signature under the key that the report names. raw is the report's canonical file.
func checkSignature(r *Report, raw []byte) (ed25519.PublicKey, *Failure) {
	key, err := hex.DecodeString(r.Signature.Key)
	sig, err2 := hex.DecodeString(r.Signature.Sig)
	if err != nil || err2 != nil || len(key) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize || r.Signature.Alg != "ed25519" {
		return nil, fail(ReasonSignature, "the report has no Ed25519 signature")
	}
	body, cerr := unsigned(r, raw)
	if cerr != nil || !ed25519.Verify(key, append([]byte(signatureDomain), body...), sig) {
		return nil, fail(ReasonSignature, "the operator's signature does not hold: the report was changed after signing")
	}
	return key, nil
}

// unsigned is the canonical report with an empty Sig: the file without those digits, where they stand in it once.
func unsigned(r *Report, raw []byte) ([]byte, error) {
	digits := []byte(`"sig":"` + r.Signature.Sig + `"`)
	if bytes.Count(raw, digits) == 1 {
		return bytes.TrimSuffix(bytes.Replace(raw, digits, []byte(`"sig":""`), 1), []byte("\n")), nil
	}
	plain := *r
	plain.Signature.Sig = ""
	return canonical(&plain)
}

func hexDigest(d [32]byte) string { return hex.EncodeToString(d[:]) }

// short is the start of a digest, for sentences.
func short(d [32]byte) string { return fmt.Sprintf("%x", d[:4]) }

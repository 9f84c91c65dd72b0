// Package android compiles what a policy wants into a policy of the Android Management
// API, and says what becomes of every intent on such a device. It sends nothing, and it
// leaves three things alone: policyEnforcementRules and maximumFailedPasswordsForWipe,
// which erase a device without anybody's order, and the only app for text messages,
// which it never blocks.
//
// What a policy does not ask for stays as Google has it by default, with three
// exceptions, for Google's default would take something away that nobody asked to be
// taken: playStoreMode (the default removes every app that the policy does not name),
// the credential providers of Android 14, and unknown sources on a personal phone.
//
// Fields and values: https://developers.google.com/android/management/reference/rest/v1/enterprises.policies
package android

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wardmdm/ward/profiles/intent"
)

// Result is what a device gets and what it does with it.
type Result struct {
	// Document is the Policy resource as JSON with sorted keys. Variables such as
	// {{device.id}} stand in it as they are and are bound at delivery, within the strings
	// that hold them. Lists for Chrome are JSON text within a string: a value that is
	// bound there is escaped twice.
	Document []byte
	// Hash is the SHA-256 of Document in hexadecimal.
	Hash string
	// Outcomes has at least one entry for everything that is wanted.
	Outcomes []intent.Outcome
}

// Compile makes the policy for a target: the same bytes for the same wishes and Band. An
// enrolment that is none of Android's is taken as a work profile on a personal phone,
// which promises least. It fails only where a managed configuration holds what JSON
// can't.
func Compile(w intent.Wanted, t intent.Target) (Result, error) {
	c := newCompiler(w, t)
	c.settle()
	c.reserve()
	c.blockApps()
	c.allowOnly()
	c.blockHosts()
	c.blockStores()
	c.installApps()
	c.passcode()
	c.encryption()
	c.update()
	c.wifi()
	c.networks()
	c.dns()
	c.links()
	c.ownProfiles()
	c.switches()
	c.lost()
	c.gather()
	doc, err := canonical(c.doc)
	if err = errors.Join(c.err, err); err != nil {
		return Result{}, fmt.Errorf("compile Android policy: %w", err)
	}
	sum := sha256.Sum256(doc)
	return Result{Document: doc, Hash: hex.EncodeToString(sum[:]), Outcomes: c.out}, nil
}

// Artifacts returns what Compile made as files.
func Artifacts(r Result) []intent.Artifact {
	return []intent.Artifact{{Name: "android-policy.json", Kind: "android-policy", Data: r.Document}}
}

// canonical writes a value as indented JSON with sorted keys and a line feed at the end.
func canonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // a number stays as it was written
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("sort JSON: %w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(tree); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return out.Bytes(), nil
}

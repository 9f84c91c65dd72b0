//go:build !pkcs11

package ca_test

import (
	"testing"

	"github.com/wardmdm/ward/server/store"
)

// taggedSigners are those of this build's tags.
var taggedSigners map[string]func(t *testing.T, db *store.DB) *signing

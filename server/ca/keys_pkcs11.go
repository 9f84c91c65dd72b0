//go:build pkcs11

package ca

import _ "go.step.sm/crypto/kms/pkcs11" // keys in a PKCS #11 token; it needs cgo

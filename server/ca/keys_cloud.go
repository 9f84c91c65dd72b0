//go:build cloudkms

package ca

import (
	_ "go.step.sm/crypto/kms/awskms"   // keys in AWS KMS
	_ "go.step.sm/crypto/kms/azurekms" // keys in Azure Key Vault
	_ "go.step.sm/crypto/kms/cloudkms" // keys in Google Cloud KMS
)

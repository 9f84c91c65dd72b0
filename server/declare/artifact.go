package declare

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// The kinds of artifacts.
const (
	ProfileArtifact     = "profile"
	DeclarationArtifact = "declaration"
)

// Artifact is a compiled result, with its variables. It is kept under its content's hash,
// so that devices that share it share one copy.
type Artifact struct {
	Hash string // SHA-256 of Body, lower-case hexadecimal
	Kind string
	Body []byte
}

// NewArtifact returns the artifact of a body.
func NewArtifact(kind string, body []byte) Artifact {
	sum := sha256.Sum256(body)
	return Artifact{Hash: hex.EncodeToString(sum[:]), Kind: kind, Body: body}
}

// Artifacts keeps compiled results.
type Artifacts interface {
	// Put keeps artifacts that a version of the policy makes. What is there already stays
	// as it is and is known to be made by that version too. It is an error if a hash is
	// not that of its body.
	Put(ctx context.Context, generation int64, list []Artifact) error
	// Artifact returns what has the hash. A *ward.Error of kind NotFound means that there
	// is none; a body that was altered is an internal error.
	Artifact(ctx context.Context, hash string) (Artifact, error)
	// Purge deletes what none of the last keep versions of the policy makes and what was
	// last put before the time, and returns how many that were. Whatever is deleted can be
	// compiled again. A keep below one keeps one version.
	Purge(ctx context.Context, keep int, before time.Time) (int64, error)
}

// What a purge keeps.
const (
	KeepVersions = 10
	KeepFor      = 90 * 24 * time.Hour
)

// PurgeArtifacts is the job that deletes compiled results that are out of use: not made
// by the last KeepVersions versions of the policy, and not put for KeepFor. It may run at
// any time and on several copies of the server at once; it returns how many it deleted.
func PurgeArtifacts(ctx context.Context, a Artifacts, now time.Time) (int64, error) {
	return a.Purge(ctx, KeepVersions, now.Add(-KeepFor))
}

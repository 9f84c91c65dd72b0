package policy

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/wardmdm/ward"
)

func randomText() string { return rand.Text() }

// Digest returns the lower-case hexadecimal SHA-256 of the version's canonical JSON:
// generation, text, files (name and SHA-256, in order of their names), rings, reason,
// base and author, in that order, without white space. An approval is for this value.
func (v Version) Digest() (string, error) {
	type file struct {
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
	}
	type rings struct {
		Canary  []string `json:"canary"`
		Percent []int    `json:"percent"`
		Pause   int64    `json:"pause_seconds"`
		StopAt  float64  `json:"stop_at"`
	}
	files := []file{}
	for _, name := range slices.Sorted(maps.Keys(v.Files)) {
		sum := sha256.Sum256(v.Files[name])
		files = append(files, file{name, hex.EncodeToString(sum[:])})
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Generation int64         `json:"generation"`
		Text       string        `json:"text"`
		Files      []file        `json:"files"`
		Rings      rings         `json:"rings"`
		Reason     string        `json:"reason"`
		Base       int64         `json:"base"`
		Author     ward.PersonID `json:"author"`
	}{
		v.Generation, v.Text, files,
		rings{append([]string{}, v.Rings.Canary...), append([]int{}, v.Rings.Percent...), int64(v.Rings.Pause.Seconds()), v.Rings.StopAt},
		v.Reason, v.Base, v.PublishedBy,
	})
	if err != nil {
		return "", fmt.Errorf("digest of policy %d: %w", v.Generation, err)
	}
	sum := sha256.Sum256(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return hex.EncodeToString(sum[:]), nil
}

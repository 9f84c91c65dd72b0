package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// storable reports whether s is text that every database takes: UTF-8 without the zero
// character, which PostgreSQL refuses.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// unmarshal is json.Unmarshal for texts that are storable.
func unmarshal(data []byte, v any) error {
	if bytes.Contains(data, []byte(`\u0000`)) {
		var tree any
		if err := json.Unmarshal(data, &tree); err == nil && !allStorable(tree) {
			return errors.New("it holds the zero character, which is no text")
		}
	}
	return json.Unmarshal(data, v)
}

func allStorable(tree any) bool {
	switch t := tree.(type) {
	case string:
		return storable(t)
	case []any:
		for _, v := range t {
			if !allStorable(v) {
				return false
			}
		}
	case map[string]any:
		for k, v := range t {
			if !storable(k) || !allStorable(v) {
				return false
			}
		}
	}
	return true
}

package web

import (
	"strings"

	"github.com/wardmdm/ward/server/estate"
)

// lang is the language of the texts that people read.
const lang = "en-GB"

// What people read above lists of devices.
const (
	textPast     = "What was known then, with the names of now. Nothing can be done from here."
	textToNow    = "Show it as it is now"
	textBlocked  = "A blocked app is on it"
	textEnrolled = "Enrolled"
)

// findingName is a finding in a few words.
func findingName(code string) string {
	text, _ := estate.Words(code, "")
	return text
}

// appName is what people call a messaging app.
func appName(slug string) string {
	words := strings.Split(slug, "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

func approvedName(v string) string {
	if v == "ready" {
		return "Approved app ready"
	}
	return "Approved app not ready"
}

func daysName(n string) string {
	if n == "1" {
		return "1 day"
	}
	return n + " days"
}

func osName(v string) string {
	if v == "old" {
		return "Below the minimum"
	}
	return v
}

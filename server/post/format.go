package post

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/notify"
)

// Format is the form in which a webhook is told.
type Format string

// The formats.
const (
	FormatWard  Format = "ward"
	FormatSlack Format = "slack" // and whatever takes {"text": …}, such as Mattermost and Rocket.Chat
	FormatTeams Format = "teams" // an Adaptive Card, as a workflow of Power Automate takes it
)

// Valid reports whether f is one of the formats.
func (f Format) Valid() bool { return f == FormatWard || f == FormatSlack || f == FormatTeams }

// Event is what a webhook in Ward's own format is told. Fields that do not apply are empty.
type Event struct {
	ID      string    `json:"id"`
	Topic   string    `json:"topic"`
	At      time.Time `json:"at"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Link    string    `json:"link"`
	Order   string    `json:"order"`
	Case    string    `json:"case"`
	Device  string    `json:"device"`
	Urgent  bool      `json:"urgent"`
}

// body returns the body of a message whose link is a whole address.
func (f Format) body(m notify.Message) ([]byte, error) {
	switch f {
	case FormatWard:
		return json.Marshal(Event{
			ID: m.ID, Topic: string(m.Topic), At: m.At.UTC(), Subject: m.Subject, Text: m.Body, Link: m.Link,
			Order: string(m.Order), Case: string(m.Case), Device: string(m.Device), Urgent: m.Urgent,
		})
	case FormatSlack:
		return json.Marshal(map[string]string{"text": slackText(m)})
	case FormatTeams:
		return json.Marshal(teamsMessage(m))
	}
	return nil, fmt.Errorf("there is no format %q", f)
}

// subject returns the subject as people read it.
func subject(m notify.Message) string {
	if m.Urgent {
		return "[Ward] URGENT: " + m.Subject
	}
	return "[Ward] " + m.Subject
}

// slackText escapes the three characters by which a text could name channels and people.
// Source: https://docs.slack.dev/messaging/formatting-message-text#escaping
func slackText(m notify.Message) string {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	text := escape.Replace(subject(m))
	if m.Body != "" {
		text += "\n" + escape.Replace(m.Body)
	}
	if m.Link != "" {
		text += "\n" + escape.Replace(m.Link)
	}
	return text
}

// The parts of an Adaptive Card that are used here. Text stands in runs, which know no
// Markdown: a device's name can't become a link.
// Source: https://learn.microsoft.com/en-us/connectors/teams/#microsoft-teams-webhook and
// https://adaptivecards.io/explorer/RichTextBlock.html
type (
	teamsEnvelope struct {
		Type        string            `json:"type"`
		Attachments []teamsAttachment `json:"attachments"`
	}
	teamsAttachment struct {
		ContentType string  `json:"contentType"`
		ContentURL  *string `json:"contentUrl"`
		Content     card    `json:"content"`
	}
	card struct {
		Schema  string   `json:"$schema"`
		Type    string   `json:"type"`
		Version string   `json:"version"`
		Body    []block  `json:"body"`
		Actions []action `json:"actions,omitempty"`
	}
	block struct {
		Type    string `json:"type"`
		Inlines []run  `json:"inlines"`
	}
	run struct {
		Type   string `json:"type"`
		Text   string `json:"text"`
		Size   string `json:"size,omitempty"`
		Weight string `json:"weight,omitempty"`
		Color  string `json:"color,omitempty"`
	}
	action struct {
		Type  string `json:"type"`
		Title string `json:"title"`
		URL   string `json:"url"`
	}
)

func teamsMessage(m notify.Message) teamsEnvelope {
	title := run{Type: "TextRun", Text: subject(m), Size: "Medium", Weight: "Bolder"}
	if m.Urgent {
		title.Color = "Attention"
	}
	c := card{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.2",
		Body: []block{{"RichTextBlock", []run{title}}},
	}
	for line := range strings.SplitSeq(m.Body, "\n") {
		if line != "" {
			c.Body = append(c.Body, block{"RichTextBlock", []run{{Type: "TextRun", Text: line}}})
		}
	}
	if m.Link != "" {
		c.Actions = []action{{"Action.OpenUrl", "Open in Ward", m.Link}}
	}
	return teamsEnvelope{"message", []teamsAttachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: c}}}
}

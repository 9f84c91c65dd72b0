package source

import "testing"

// An approver who wrote the own name in another way passed as another person.
func TestSamePersonHoweverWritten(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want bool
	}{
		{"Jo Smith", "jo smith", true},
		{"Jo Smith", "Jo  Smith ", true},
		{"Jo Smith", "Jo.Smith", true},
		{"J. O. Smith", "JO Smith", true},
		{"Jo Smith", "JoSmith", true},
		{"Jo Smith", "Smith, Jo", true},
		{"Jo Smith", "jo.smith@example.org", true},
		{"Jo Smith", "smith.jo@example.org", true},
		{"Jo Smith", "Sam Jones <jo.smith@example.org>", true},
		{"Jo Smith (Ward 7)", "Jo Smith", true},
		{"jo.smith@example.org", "Jo.Smith+ig@Example.org", true},
		{"jo.smith@example.org", "josmith@example.org", true},
		{"...", "...", true},
		{"Ærø Ås", "ærø ås", true},
		{"jo.smith@example.org", "jo.smith@example.com", false},
		{"Jo Smith", "Sam Smith", false},
		{"Jo Smith", "Jo Smithers", false},
		{"Jo Smith (Ward 7)", "Sam Jones (Ward 7)", false},
		{"Jo Smith <team@example.org>", "Sam Jones", false},
		{"...", "-", false},
		{"Jo", "", false},
	}
	for _, tt := range tests {
		if got := samePerson(tt.a, tt.b); got != tt.want {
			t.Errorf("samePerson(%q, %q) = %t, want %t", tt.a, tt.b, got, tt.want)
		}
		if got := samePerson(tt.b, tt.a); got != tt.want {
			t.Errorf("samePerson(%q, %q) = %t, want %t", tt.b, tt.a, got, tt.want)
		}
	}
}

// Package virtual is an iPhone made of software: it speaks the real protocol through the
// engine in package agent, and obeys Apple's rules about supervision, access rights,
// restrictions, managed apps, lost mode and erasure as far as Apple has written them
// down. It is the judge of what a server sends, so it shares no code with whatever
// compiles profiles, and what it says of itself is what it holds and not what it was
// told to hold.
//
// It will not imitate a user interface, download the code of apps, or do declarative
// management.
//
// Sources: Apple, github.com/apple/device-management (schema of profiles and commands),
// and Apple, MDM Protocol Reference (error codes, NotNow).
package virtual

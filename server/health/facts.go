package health

import "time"

// Facts are the measurements of one moment.
type Facts struct {
	Now     time.Time
	Version string
	Trial   bool // everything is made up, so nothing has to be bought or backed up
	Started time.Time

	Expiries  []Expiry
	Push      bool // there is a push certificate
	Tokens    []Expiry
	Backup    time.Time // when a backup was last made; zero if never
	Devices   int       // that are managed
	Disk      Disk
	Database  Database
	Audit     Audit
	Jobs      []Job
	Pushes    Queue    // that are owed for longer than they should be
	Commands  Queue    // that no device that was seen since has answered
	Plans     Queue    // devices whose plan is overdue
	Notices   Notices  // messages to the people on call
	Holds     []Hold   // of the brake
	Tampered  bool     // the brake's journal is not as it was written
	Forged    int      // commands withheld, for nobody ordered them
	Approvers int      // who stand, founders and others
	Policy    bool     // one is in force
	Roots     []string // problems of the approvers' root, in words

	Unmeasured []Unmeasured
}

// Unmeasured is an entry of the catalogue that could not be looked at.
type Unmeasured struct{ Code, Why string }

// Expiry is something that ends.
type Expiry struct {
	Name   string
	Ends   time.Time
	Renews bool // by itself, in good time
	Lost   bool // its key is given up
	Count  int  // how many end within the same time; 0 and 1 are one
	Cure   string
	Href   string
}

// Disk is where the data stands. Total is 0 where it can't be told.
type Disk struct{ Free, Total uint64 }

// Database is how the database fares.
type Database struct {
	Engine  string
	Size    int64         // in bytes
	Latency time.Duration // of a small question
	Clock   time.Duration // by how much its clock is ahead of the server's; 0 for SQLite
}

// Audit is how the audit log fares.
type Audit struct {
	Broken   bool // it can't be continued
	Waiting  int  // entries that are not in the tree
	Oldest   time.Time
	Verified time.Time // when the whole log was last verified; zero if never
	Sound    bool      // what that found
	Problem  string    // what was wrong then
}

// Job is how one of the server's own jobs fares.
type Job struct {
	Name    string
	Every   time.Duration
	Good    time.Time // when it last went well; zero if never since the start
	Failed  int       // times in a row
	Error   string
	Running bool
}

// Queue is what has waited for too long.
type Queue struct {
	Count  int
	Oldest time.Time // since when the oldest of it waits
}

// Notices is how messages to the people on call fare.
type Notices struct {
	Configured bool // somebody is configured to be told
	GivenUp    int  // in the last seven days
	Waiting    Queue
	Untold     int // messages of the last seven days that went to nobody
}

// Hold is what the brake holds.
type Hold struct {
	What  string // such as "erases"
	Since time.Time
}

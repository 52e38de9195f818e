"""What is said of a program: its report, its reasons, its fix."""

"""What a user looks at: slices, sheets, charts, and the page that holds them."""

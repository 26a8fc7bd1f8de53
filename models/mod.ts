// Re-exports of this room.
